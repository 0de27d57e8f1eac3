//! `crd`: the CustomResourceDefinitions as they are installed.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::Error;
use crate::api::schema;

/// Prints all of them as one YAML stream.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write) -> Result<(), Error> {
    for (_, text) in schema::crd_yaml()? {
        write!(out, "---\n{text}")?;
    }
    Ok(())
}

/// Writes each to its file in the directory.
///
/// # Errors
/// A file cannot be written.
pub fn write(directory: &Path) -> Result<(), Error> {
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |source| Error::File { path, source }
    };
    fs::create_dir_all(directory).map_err(at(directory))?;
    for (name, text) in schema::crd_yaml()? {
        let file = directory.join(name);
        fs::write(&file, text).map_err(at(&file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_holds_every_crd() {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        let names: Vec<String> = serde_yaml::Deserializer::from_slice(&out)
            .map(|document| {
                let value: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
                value["metadata"]["name"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(names, ["microservices.microservice.dev", "microserviceclasses.microservice.dev"]);
    }
}
