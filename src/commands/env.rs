//! `stitch env`: the variables of `stitch run` in the syntax of a shell.

use super::run::Surroundings;
use crate::cli::{EnvArgs, Shell};
use crate::exit::{ExitCode, Failure};
use crate::{output, proxy_env, trust};

pub(super) fn run(args: &EnvArgs) -> Result<ExitCode, Failure> {
    let text = if args.unset {
        unset(args.shell)
    } else {
        set(args.shell, &Surroundings::find(&args.file, &args.proxy)?)
    };
    output::print(&text)?;
    Ok(ExitCode::Ok)
}

fn set(shell: Shell, surroundings: &Surroundings) -> String {
    let line = |(name, value): (&str, String)| match shell {
        Shell::Sh => format!("export {name}={}\n", quoted(&value, "'\\''")),
        Shell::Fish => format!("set -gx {name} {}\n", quoted(&value, "\\'")),
        Shell::Powershell => format!("$env:{name} = {}\n", quoted(&value, "''")),
    };
    surroundings.variables().into_iter().map(line).collect()
}

fn unset(shell: Shell) -> String {
    let line = |name: &str| match shell {
        Shell::Sh => format!("unset {name}\n"),
        Shell::Fish => format!("set -e {name}\n"),
        Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
    };
    proxy_env::variable_names().chain(trust::variable_names()).map(line).collect()
}

/// In single quotes nothing has a meaning but the quote itself, which each shell escapes its way.
fn quoted(value: &str, quote: &str) -> String {
    format!("'{}'", value.replace('\'', quote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{FileArg, ProxyChoice};

    fn surroundings() -> Surroundings {
        Surroundings { proxy: "http://web@127.0.0.1:8080".parse().unwrap(), trust: None }
    }

    #[test]
    fn each_shell_is_spoken_to_in_its_own_words() {
        let has = |shell, line: &str| {
            let text = set(shell, &surroundings());
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        };
        has(Shell::Sh, "export http_proxy='http://web@127.0.0.1:8080'");
        has(Shell::Sh, "export NO_PROXY=''");
        has(Shell::Fish, "set -gx HTTPS_PROXY 'http://web@127.0.0.1:8080'");
        has(Shell::Powershell, "$env:ALL_PROXY = 'http://web@127.0.0.1:8080'");
    }

    #[test]
    fn every_variable_is_taken_back() {
        for (shell, line) in [
            (Shell::Sh, "unset no_proxy"),
            (Shell::Fish, "set -e SSL_CERT_FILE"),
            (Shell::Powershell, "Remove-Item Env:no_proxy -ErrorAction SilentlyContinue"),
        ] {
            let text = unset(shell);
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
            let names = proxy_env::variable_names().count() + trust::variable_names().count();
            assert_eq!(text.lines().count(), names);
        }
    }

    #[test]
    fn the_command_prints_either() {
        let proxy = ProxyChoice { name: None, proxy: Some(surroundings().proxy) };
        for unset in [false, true] {
            let (file, proxy) = (FileArg::default(), proxy.clone());
            let args = EnvArgs { file, proxy, shell: Shell::Sh, unset };
            assert_eq!(run(&args).unwrap(), ExitCode::Ok);
        }
    }

    #[test]
    fn quotes_stay_inside() {
        assert_eq!(quoted("a'b", "'\\''"), r"'a'\''b'");
    }
}
