use std::{fmt, process::ExitCode};

use assay_client::Error;

/// Why the command failed, by what a script would do about it. Each message is one line: the thing,
/// and the next step.
#[derive(Debug)]
pub enum Failure {
    /// The request itself failed: refused, refunded, late.
    Request(String),
    /// It was asked wrongly: an argument, a key, a file.
    Usage(String),
    /// The chain cannot be reached, or is another one.
    Chain(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Request(_) => 1,
            Self::Usage(_) => 2,
            Self::Chain(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Request(message) | Self::Usage(message) | Self::Chain(message)) = self;
        f.write_str(message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            _ if error.is_chain() => Self::Chain(message),
            Error::Dispatch { .. }
            | Error::NotAccepted { .. }
            | Error::Timeout { .. }
            | Error::Lost { .. }
            | Error::Answer(_)
            | Error::Dispute(_) => Self::Request(message),
            _ => Self::Usage(message),
        }
    }
}

/// A message of several lines, on one.
pub fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
