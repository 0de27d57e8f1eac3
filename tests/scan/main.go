// Runs kube-score over rendered objects. Every finding fails the run, unless exceptions.txt gives a
// reason for it; so does an exception that nothing needs any more.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/zegl/kube-score/config"
	"github.com/zegl/kube-score/domain"
	"github.com/zegl/kube-score/parser"
	"github.com/zegl/kube-score/score"
	"github.com/zegl/kube-score/score/checks"
	"github.com/zegl/kube-score/scorecard"
)

// exception accepts the findings of one check in the files that match.
type exception struct {
	check, files, reason string
	used                 bool
}

type file struct {
	io.Reader
	name string
}

func (f file) Name() string { return f.name }

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: score EXCEPTIONS FILE...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(list string, files []string) error {
	exceptions, err := read(list)
	if err != nil {
		return err
	}
	findings, objects := 0, 0
	for _, path := range files {
		card, err := scan(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		objects += len(*card)
		for _, line := range unexplained(*card, filepath.Base(path), exceptions) {
			fmt.Printf("%s: %s\n", path, line)
			findings++
		}
	}
	for _, exception := range exceptions {
		if !exception.used {
			fmt.Printf("%s: %s in %s is not found any more; delete the line\n", list, exception.check, exception.files)
			findings++
		}
	}
	if findings > 0 {
		return fmt.Errorf("kube-score: %d findings; correct the children, or give a reason in %s", findings, list)
	}
	fmt.Printf("kube-score: %d objects in %d files, nothing without a reason\n", objects, len(files))
	return nil
}

// read parses lines of check, file pattern and reason; # begins a comment.
func read(path string) ([]*exception, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	var exceptions []*exception
	lines := bufio.NewScanner(opened)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 {
			return nil, fmt.Errorf("%s: %q: a check, a file pattern and a reason are needed", path, line)
		}
		exceptions = append(exceptions, &exception{words[0], words[1], strings.Join(words[2:], " "), false})
	}
	return exceptions, lines.Err()
}

func scan(path string) (*scorecard.Scorecard, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	with := &config.RunConfiguration{
		KubernetesVersion:     config.Semver{Major: 1, Minor: 33},
		MinReplicasDeployment: 2,
		MinReplicasHPA:        2,
	}
	reader, err := parser.New(&parser.Config{})
	if err != nil {
		return nil, err
	}
	parsed, err := reader.ParseFiles([]domain.NamedReader{file{opened, path}})
	if err != nil {
		return nil, err
	}
	return score.Score(parsed, score.RegisterAllChecks(parsed, &checks.Config{}, with), with)
}

// unexplained lists the findings that no exception accepts, and marks the exceptions that do.
func unexplained(card scorecard.Scorecard, name string, exceptions []*exception) []string {
	var lines []string
	for _, object := range card {
		for _, result := range object.Checks {
			if result.Skipped || result.Check.Optional || result.Grade >= scorecard.GradeAlmostOK {
				continue
			}
			if accepted(result.Check.ID, name, exceptions) {
				continue
			}
			for _, comment := range result.Comments {
				lines = append(lines, fmt.Sprintf("%s %s: %s: %s %s", object.TypeMeta.Kind, object.ObjectMeta.Name,
					result.Check.ID, comment.Path, comment.Summary))
			}
		}
	}
	sort.Strings(lines)
	return lines
}

func accepted(check, name string, exceptions []*exception) bool {
	for _, exception := range exceptions {
		matches, _ := filepath.Match(exception.files, name)
		if exception.check == check && matches {
			exception.used = true
			return true
		}
	}
	return false
}
