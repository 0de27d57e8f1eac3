//! Texts of files, of what is in directories, and of standard input.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::Error;

/// Deepest directory that is looked into: links may lead in circles.
const DEPTH: usize = 64;

/// Names and texts of what a path names, in the order of the names.
pub(super) fn read(path: &str, recursive: bool) -> Result<Vec<(String, String)>, Error> {
    if path == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(at(path))?;
        return Ok(vec![(path.to_owned(), text)]);
    }
    let mut files = Vec::new();
    collect(Path::new(path), if recursive { DEPTH } else { 0 }, true, &mut files)?;
    if files.is_empty() {
        return Err(Error::Empty(path.to_owned()));
    }
    files
        .into_iter()
        .map(|file| {
            let name = file.display().to_string();
            let text = fs::read_to_string(&file).map_err(at(&name))?;
            Ok((name, text))
        })
        .collect()
}

fn collect(path: &Path, depth: usize, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let name = path.display().to_string();
    if !path.is_dir() {
        let known = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        files.extend(Some(path.to_owned()).filter(|_| named || known));
        return Ok(());
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).map_err(at(&name))? {
        inside.push(entry.map_err(at(&name))?.path());
    }
    inside.sort();
    for path in inside {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !path.is_dir() {
            collect(&path, 0, false, files)?;
        } else if depth > 0 && !hidden {
            collect(&path, depth - 1, false, files)?;
        }
    }
    Ok(())
}

fn at(path: &str) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}
