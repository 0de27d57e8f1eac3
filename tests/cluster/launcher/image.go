package launcher

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// image is one static program under one or more names. Links are further paths of the program.
type image struct {
	Program string   `json:"program"`
	Names   []string `json:"names"`
	Links   []string `json:"links,omitempty"`
}

// user is nobody in particular, as a number: kubelet cannot look names up to refuse root.
const user = "65532:65532"

// archive is the image as `docker save` writes it: a configuration, a list, and a layer. No container
// engine is needed for that.
func (i image) archive() (io.Reader, error) {
	layer, err := i.layer()
	if err != nil {
		return nil, err
	}
	sum := func(bytes []byte) string {
		digest := sha256.Sum256(bytes)
		return hex.EncodeToString(digest[:])
	}
	var archive bytes.Buffer
	files := tar.NewWriter(&archive)
	var list []object
	for _, name := range i.Names {
		configuration := asJSON(object{
			"architecture": runtime.GOARCH,
			"os":           "linux",
			// A program in several images asks this variable which one it is in.
			"config": object{"User": user, "Entrypoint": []string{i.path()}, "Env": []string{"IMAGE=" + name}},
			"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
		})
		file := sum(configuration) + ".json"
		if err := addFile(files, file, 0o644, configuration); err != nil {
			return nil, err
		}
		list = append(list, object{"Config": file, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}})
	}
	if err := addFile(files, "layer.tar", 0o644, layer); err != nil {
		return nil, err
	}
	if err := addFile(files, "manifest.json", 0o644, asJSON(list)); err != nil {
		return nil, err
	}
	return &archive, files.Close()
}

func (i image) path() string { return "/app/" + filepath.Base(i.Program) }

func (i image) layer() ([]byte, error) {
	program, err := os.ReadFile(i.Program)
	if err != nil {
		return nil, fmt.Errorf("the program of image %v: %w", i.Names, err)
	}
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	for _, dir := range []string{"app/", "tmp/"} {
		header := &tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o1777}
		if err := files.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	if err := addFile(files, i.path()[1:], 0o755, program); err != nil {
		return nil, err
	}
	for _, link := range i.Links {
		header := &tar.Header{Name: link[1:], Typeflag: tar.TypeSymlink, Linkname: i.path(), Mode: 0o777}
		if err := files.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	err = files.Close()
	return layer.Bytes(), err
}

func addFile(files *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content))}
	if err := files.WriteHeader(header); err != nil {
		return err
	}
	_, err := files.Write(content)
	return err
}
