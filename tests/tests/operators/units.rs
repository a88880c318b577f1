//! The units as systemd reads them.

use std::{
    fs,
    io::{stderr, ErrorKind, Write},
    path::Path,
    process::Command,
};

use anyhow::{ensure, Context, Result};
use assay_tests::{programs, repository};

/// Whatever it has to say of a unit; it goes on after most mistakes, and so does the unit, without what was meant.
fn verify(unit: &Path) -> std::io::Result<String> {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(unit)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() {
        said
    } else {
        format!("{}: {said}", output.status)
    })
}

#[test]
fn systemd_has_nothing_to_say_of_the_units() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["assay-node", "assay-worker"] {
        let file = format!("{name}.service");
        let text = fs::read_to_string(repository()?.join("ops/systemd").join(&file))?;
        // Where it is installed there is a program, and here is another of the same name.
        let installed = format!("/usr/local/bin/{name}");
        ensure!(text.contains(&installed), "{file} starts no {installed}");
        let built = programs()?.join(name);
        let built = built.to_str().context("a path in UTF-8")?;
        let unit = folder.path().join(&file);
        fs::write(&unit, text.replace(&installed, built))?;
        let said = match verify(&unit) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let said = "SKIPPED: systemd-analyze, which comes with systemd, is not here";
                // Not by a macro: the harness keeps what a test that passes prints.
                writeln!(stderr(), "{said}")?;
                return Ok(());
            }
            said => said?,
        };
        ensure!(said.is_empty(), "{file}: {said}");

        // It would speak of a word that it does not know.
        fs::write(
            &unit,
            text.replace(&installed, built)
                .replace("LimitNOFILE", "LimitFILES"),
        )?;
        ensure!(verify(&unit)?.contains("LimitFILES"), "{file}");
    }
    Ok(())
}
