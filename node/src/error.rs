//! What a command that failed says: one line with the cause and, where there is one, the next step.

use sc_cli::Error;
use sc_service::error::Error as ServiceError;

/// The line for an error.
pub fn line(error: &Error) -> String {
    let text = match error {
        Error::Input(text) | Error::Service(ServiceError::Other(text)) => text.clone(),
        Error::NetworkKeyNotFound(path) => format!(
            "a validator needs a network key that it keeps, and {0} is not there; make it with \
             `assay-node key generate-node-key --file {0}`, or take a new one each time with \
             --unsafe-force-node-key-generation",
            path.display()
        ),
        Error::KeyAlreadyExistsInPath(path) => format!(
            "there is a network key in {} already; use it, or remove that file first",
            path.display()
        ),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line_without_the_names_of_types() {
        let errors = [
            Error::Input("no chain `x`:\n give `dev`".into()),
            Error::Service(ServiceError::Other("the database cannot be used".into())),
            Error::NetworkKeyNotFound("/data/secret_ed25519".into()),
            Error::KeyAlreadyExistsInPath("/data/secret_ed25519".into()),
            Error::Io(std::io::ErrorKind::NotFound.into()),
        ];
        for error in errors {
            let line = line(&error);
            assert!(!line.contains('\n'), "{line}");
            for name in ["Input", "Other", "NotFound", "(\"", "KeyAlready"] {
                assert!(!line.contains(name), "{line}");
            }
        }
    }

    #[test]
    fn a_missing_network_key_comes_with_the_command_that_makes_it() {
        let line = line(&Error::NetworkKeyNotFound("/data/key".into()));
        assert!(
            line.contains("assay-node key generate-node-key --file /data/key"),
            "{line}"
        );
    }
}
