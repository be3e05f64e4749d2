//! `stitch env`: the proxy variables in the syntax of a shell.

use crate::cli::{EnvArgs, Shell};
use crate::exit::{ExitCode, Failure};
use crate::output;
use crate::proxy_env::{ProxyAddress, variable_names};

pub(super) fn run(args: &EnvArgs) -> Result<ExitCode, Failure> {
    let text = if args.unset {
        unset(args.shell)
    } else {
        set(args.shell, &super::run::proxy(&args.file, &args.proxy)?)
    };
    output::print(&text)?;
    Ok(ExitCode::Ok)
}

fn set(shell: Shell, proxy: &ProxyAddress) -> String {
    let line = |(name, value): (&str, String)| match shell {
        Shell::Sh => format!("export {name}={}\n", quoted(&value, "'\\''")),
        Shell::Fish => format!("set -gx {name} {}\n", quoted(&value, "\\'")),
        Shell::Powershell => format!("$env:{name} = {}\n", quoted(&value, "''")),
    };
    proxy.variables().into_iter().map(line).collect()
}

fn unset(shell: Shell) -> String {
    let line = |name: &str| match shell {
        Shell::Sh => format!("unset {name}\n"),
        Shell::Fish => format!("set -e {name}\n"),
        Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
    };
    variable_names().map(line).collect()
}

/// In single quotes nothing has a meaning but the quote itself, which each shell escapes its way.
fn quoted(value: &str, quote: &str) -> String {
    format!("'{}'", value.replace('\'', quote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{FileArg, ProxyChoice};

    fn proxy() -> ProxyAddress {
        "http://web@127.0.0.1:8080".parse().unwrap()
    }

    #[test]
    fn each_shell_is_spoken_to_in_its_own_words() {
        let has = |shell, line: &str| {
            let text = set(shell, &proxy());
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
            (Shell::Fish, "set -e no_proxy"),
            (Shell::Powershell, "Remove-Item Env:no_proxy -ErrorAction SilentlyContinue"),
        ] {
            let text = unset(shell);
            assert_eq!(text.lines().last(), Some(line));
            assert_eq!(text.lines().count(), set(shell, &proxy()).lines().count());
        }
    }

    #[test]
    fn the_command_prints_either() {
        let proxy = ProxyChoice { name: None, proxy: Some(proxy()) };
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
