//! A runtime's Wasm, and what a chain would say to it: found out before anybody votes.

use std::{fs, path::Path};

use assay_client::{chain::runtime, Snapshot};
use codec::Decode;
use sp_maybe_compressed_blob::{decompress, CODE_BLOB_BOMB_LIMIT};
use wasmparser::{Parser, Payload};

use crate::failure::Failure;

/// The section in which a build of a runtime says which version it is.
const VERSION: &str = "runtime_version";

/// The code of a runtime as it lies in a file.
pub struct Wasm {
    pub code: Vec<u8>,
    version: Version,
}

/// The first fields of that section.
#[derive(Decode, Debug, PartialEq, Eq)]
struct Version {
    spec_name: String,
    _impl_name: String,
    _authoring_version: u32,
    spec_version: u32,
}

impl Wasm {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let of_file = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
        let code = fs::read(path).map_err(|error| {
            of_file(format!("cannot be read: {error}; name the runtime's file"))
        })?;
        let version = version(&code).map_err(|problem| {
            of_file(format!(
                "{problem}; name the assay_runtime.compact.compressed.wasm of a build"
            ))
        })?;
        Ok(Self { code, version })
    }

    /// Whether the chain would take it when it is enacted.
    pub fn check(&self, path: &Path, best: &Snapshot) -> Result<(), Failure> {
        let address = runtime::constants().system().version();
        let now = best.client().constants().entry(address);
        let now = now.map_err(|error| Failure::Chain(error.to_string()))?;
        self.version
            .follows(&now.spec_name, now.spec_version)
            .map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))
    }
}

impl Version {
    /// Whether a chain takes it whose own version is this.
    fn follows(&self, spec_name: &str, spec_version: u32) -> Result<(), String> {
        if self.spec_name != spec_name {
            return Err(format!(
                "is a runtime of {:?}, and the chain's is of {spec_name:?}; name a build of the chain's own",
                self.spec_name
            ));
        }
        if self.spec_version <= spec_version {
            return Err(format!(
                "has spec_version {}, and the chain has {spec_version} and takes only a higher one; raise \
                 it in runtime/src/version.rs and build again",
                self.spec_version
            ));
        }
        Ok(())
    }
}

fn version(code: &[u8]) -> Result<Version, String> {
    let wasm = decompress(code, CODE_BLOB_BOMB_LIMIT).map_err(|error| format!("{error}"))?;
    for part in Parser::new(0).parse_all(&wasm) {
        match part {
            Ok(Payload::CustomSection(section)) if section.name() == VERSION => {
                return Version::decode(&mut section.data())
                    .map_err(|_| "says in no known way which version it is".into());
            }
            Ok(_) => {}
            Err(_) => return Err("is no Wasm".into()),
        }
    }
    Err("is no runtime".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    /// A module with nothing but such a section.
    fn module(name: &str, content: &[u8]) -> Vec<u8> {
        let mut section = vec![name.len() as u8];
        section.extend(name.as_bytes());
        section.extend(content);
        [EMPTY, &[0, section.len() as u8], &section].concat()
    }

    fn built(spec_name: &str, spec_version: u32) -> Vec<u8> {
        (spec_name, "assay-node", 1u32, spec_version, 1u32, 0u8).encode()
    }

    #[test]
    fn a_build_says_which_version_it_is_compressed_or_not() {
        let code = module(VERSION, &built("assay", 8));
        let found = version(&code).unwrap();
        assert_eq!((found.spec_name.as_str(), found.spec_version), ("assay", 8));
        let smaller =
            sp_maybe_compressed_blob::compress_weakly(&code, CODE_BLOB_BOMB_LIMIT).unwrap();
        assert_ne!(smaller, code);
        assert_eq!(version(&smaller), Ok(found));
    }

    #[test]
    fn only_a_higher_version_of_the_same_rules_follows() {
        let follows = |name, number| {
            let version = Version::decode(&mut &built(name, number)[..]).unwrap();
            version.follows("assay", 7)
        };
        assert_eq!(follows("assay", 8), Ok(()));
        for number in [7, 6, 0] {
            let message = follows("assay", number).unwrap_err();
            assert!(
                message.contains(&format!("has spec_version {number}, and the chain has 7")),
                "{message}"
            );
        }
        assert!(follows("another", 8).unwrap_err().contains("\"another\""));
    }

    #[test]
    fn what_is_no_runtime_is_refused_by_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runtime.wasm");
        let said = || match Wasm::read(&path) {
            Ok(_) => panic!("{} went through", path.display()),
            Err(failure) => failure.to_string(),
        };
        assert!(said().contains("runtime.wasm: cannot be read"));
        let half = module(VERSION, &built("assay", 8)[..9]);
        let broken = [&[82, 188, 83, 118, 70, 219, 142, 5][..], b"rest"].concat();
        for (content, part) in [
            (&b"hello"[..], "is no Wasm"),
            (b"", "is no Wasm"),
            (&broken, "Blob had invalid format"),
            (EMPTY, "is no runtime"),
            (&module("name", b"assay"), "is no runtime"),
            (&half, "in no known way"),
        ] {
            fs::write(&path, content).unwrap();
            let message = said();
            assert!(
                message.contains(part) && message.ends_with("of a build"),
                "{message}"
            );
        }
    }
}
