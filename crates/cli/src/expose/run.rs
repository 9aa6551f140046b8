//! `agent-socket expose run`: commands as tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_socket_client::{AppReply, Incoming, Tool};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::child::{Ended, Spawn, run as run_child};
use super::{Common, confirmed, duration, serve};
use crate::Context;
use crate::agent::failure;
use crate::failure::{Exit, Failure};
use crate::home::unreadable;
use crate::signals::Signals;

/// The environment variables that a command gets unless its tool says otherwise.
const ENV: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL",
];

/// How long a command may take unless its tool says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Most that a command may print unless its tool says otherwise, in bytes.
const MAX_OUTPUT: usize = 1024 * 1024;

/// Most that a tool may allow: an answer must fit into a frame of 4 MiB.
const MOST_OUTPUT: usize = 3 * 1024 * 1024;

/// What the relay waits longer than the command may take, in ms.
const MARGIN_MS: u64 = 2_000;

/// Give an AI a link to commands
///
/// A command runs as a list of words, without a shell, as you and on this machine;
/// what the agent sends comes as JSON on its stdin. A non-zero exit is answered
/// with status 500 and the end of what the command said on stderr.
#[derive(Args)]
#[command(after_help = "\
Examples:
  agent-socket expose run --tool 'GET /date=date -u' --tool '/test=cargo test'
  agent-socket expose run --file tools.toml --save --name builds --confirm

tools.toml:
  [[tool]]
  method = \"POST\"                     # default; GET also makes it read_only
  path = \"/search\"
  description = \"Searches the notes.\"
  command = [\"grep\", \"-rn\", \"--\", \"{text}\", \"notes\"]
                                      # {name}, as a whole word, is that member of the input
  input = { type = \"object\", properties = { text = { type = \"string\" } }, required = [\"text\"] }
  stdin = \"none\"                      # or \"json\": the input; default: json, none with {name}
  shell = false                       # true: command = [\"script\", words…] for sh -c
  folder = \".\"                        # default: the file's folder
  env = [\"PATH\", \"HOME\"]              # what it gets of the environment
  timeout = \"60s\"                     # at most 298s
  output = \"text/plain; charset=utf-8\"
  max_output = 1048576                # bytes, at most 3145728
  read_only = false")]
pub(super) struct RunArgs {
    /// A tool: '[METHOD ]/path=command and its words'; may be given again
    #[arg(long, value_name = "[METHOD ]/PATH=COMMAND", value_parser = tool)]
    tool: Vec<ToolSpec>,
    /// A file with tools, in TOML
    #[arg(long, value_name = "FILE", required_unless_present = "tool")]
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// A file with tools.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolsFile {
    #[serde(default, rename = "tool")]
    tools: Vec<ToolSpec>,
}

/// A tool and its command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolSpec {
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    description: String,
    command: Vec<String>,
    input: Option<Value>,
    stdin: Option<StdinKind>,
    #[serde(default)]
    shell: bool,
    folder: Option<PathBuf>,
    env: Option<Vec<String>>,
    timeout: Option<String>,
    output: Option<String>,
    max_output: Option<usize>,
    read_only: Option<bool>,
}

/// What a command gets on its stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StdinKind {
    Json,
    None,
}

/// A command that is ready to be run.
#[derive(Clone, Debug)]
struct Job {
    spawn: Spawn,
    stdin: StdinKind,
    time: Duration,
    output: String,
    max_output: usize,
}

fn post() -> String {
    "POST".to_owned()
}

/// Reads `[METHOD ]/path=command`.
fn tool(text: &str) -> Result<ToolSpec, String> {
    let expected = "expected '[METHOD ]/path=command', such as 'GET /date=date -u'";
    let (what, command) = text.split_once('=').ok_or(expected)?;
    let (method, path) = what.trim().split_once(' ').unwrap_or(("POST", what.trim()));
    if !path.trim().starts_with('/') {
        return Err(expected.to_owned());
    }
    let command = shlex::split(command).filter(|words| !words.is_empty());
    let command = command.ok_or("the command is empty, or a quote in it has no end")?;
    Ok(ToolSpec {
        method: method.to_ascii_uppercase(),
        path: path.trim().to_owned(),
        description: String::new(),
        command,
        input: None,
        stdin: None,
        shell: false,
        folder: None,
        env: None,
        timeout: None,
        output: None,
        max_output: None,
        read_only: None,
    })
}

pub(super) async fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    let mut specs = args.tool;
    if let Some(path) = &args.file {
        specs.extend(read_file(path)?);
    }
    let tools: Result<Vec<_>, _> = specs.into_iter().map(ToolSpec::tool).collect();
    let signals = Signals::listen().map_err(|error| {
        Failure::failed(
            "no_signals",
            format!("signals cannot be listened for: {error}"),
        )
    })?;
    let confirm = args.common.confirm();
    let app = args
        .common
        .builder(context, "commands")?
        .tools(confirmed(tools?, confirm.as_ref()))
        .connect()
        .await
        .map_err(|error| failure(&error))?;
    serve(&app, &args.common, signals, context.out).await
}

fn read_file(path: &Path) -> Result<Vec<ToolSpec>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let file: ToolsFile = toml::from_str(&text)
        .map_err(|error| Failure::usage("bad_tools", format!("{}: {error}", path.display())))?;
    if file.tools.is_empty() {
        let message = format!(
            "{} has no tool: it must have at least one [[tool]]",
            path.display()
        );
        return Err(Failure::usage("bad_tools", message));
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let in_folder = |mut spec: ToolSpec| {
        let own = folder.join(spec.folder.take().unwrap_or_default());
        spec.folder = Some(own).filter(|own| !own.as_os_str().is_empty());
        spec
    };
    Ok(file.tools.into_iter().map(in_folder).collect())
}

impl ToolSpec {
    /// The tool, with its command behind it.
    fn tool(self) -> Result<Tool, Failure> {
        let bad = |what: String| {
            let message = format!("the tool {} {}: {what}", self.method, self.path);
            Failure::usage("bad_tools", message)
        };
        if self.command.first().is_none_or(String::is_empty) {
            return Err(bad("its command is empty".to_owned()));
        }
        let time = match &self.timeout {
            Some(text) => duration(text).map_err(|expected| bad(format!("timeout: {expected}")))?,
            None => TIMEOUT,
        };
        let timeout_ms = u64::try_from(time.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(MARGIN_MS);
        if timeout_ms > agent_socket_wire::limits::MAX_TOOL_TIMEOUT_MS {
            return Err(bad(
                "timeout: it may be 298s at most, for a relay waits 300 s".to_owned(),
            ));
        }
        let max_output = self.max_output.unwrap_or(MAX_OUTPUT);
        if !(1..=MOST_OUTPUT).contains(&max_output) {
            return Err(bad(format!(
                "max_output must be from 1 to {MOST_OUTPUT} bytes"
            )));
        }
        let is_filled = self.command.iter().any(|word| placeholder(word).is_some());
        if self.shell
            && self
                .command
                .first()
                .is_some_and(|script| placeholder(script).is_some())
        {
            return Err(bad("the agent would write the script: give it as further words, which the script has as $1, $2, …".to_owned()));
        }
        let method = self.method.to_ascii_uppercase();
        let read_only = self.read_only.unwrap_or(method == "GET");
        let mut builder = Tool::new(&method, &self.path)
            .describe(&self.description)
            .timeout_ms(timeout_ms);
        if read_only {
            builder = builder.read_only();
        }
        if let Some(schema) = &self.input {
            builder = builder.schema(schema);
        }
        let default_stdin = if is_filled {
            StdinKind::None
        } else {
            StdinKind::Json
        };
        let env = self.env.unwrap_or_else(|| ENV.map(str::to_owned).to_vec());
        let argv = if self.shell {
            let mut argv = ["sh", "-c"].map(str::to_owned).to_vec();
            let mut words = self.command.into_iter();
            argv.extend(words.next());
            argv.push("sh".to_owned());
            argv.extend(words);
            argv
        } else {
            self.command
        };
        let job = Job {
            spawn: Spawn {
                argv,
                folder: self.folder,
                env: Some(env),
            },
            stdin: self.stdin.unwrap_or(default_stdin),
            time,
            output: self
                .output
                .unwrap_or_else(|| "text/plain; charset=utf-8".to_owned()),
            max_output,
        };
        Ok(builder.handle_raw(move |call| {
            let job = job.clone();
            async move { job.run(&call).await }
        }))
    }
}

/// The name in a word that is `{name}` as a whole.
fn placeholder(word: &str) -> Option<&str> {
    let name = word.strip_prefix('{')?.strip_suffix('}')?;
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-'));
    is_name.then_some(name)
}

impl Job {
    async fn run(&self, call: &Incoming) -> AppReply {
        let input = match call.input::<Value>() {
            Ok(input) => input,
            Err(error) => return AppReply::error(400, "bad_arguments", &error.to_string()),
        };
        let spawn = match self.filled(&input) {
            Ok(spawn) => spawn,
            Err(message) => return AppReply::error(400, "bad_arguments", &message),
        };
        let stdin = (self.stdin == StdinKind::Json).then(|| input.to_string().into_bytes());
        match run_child(&spawn, stdin, self.time, self.max_output).await {
            Ok(Ended::Exited(status, output, _)) if status.success() => self.answer(output),
            Ok(Ended::Exited(status, _, complaint)) => AppReply::error(
                500,
                "command_failed",
                format!("The command ended with {status}. {complaint}").trim(),
            ),
            Ok(Ended::TooMuch) => {
                let message = format!(
                    "The command printed more than {} bytes, the most that it may. Ask for less.",
                    self.max_output
                );
                AppReply::error(500, "output_too_large", &message)
            }
            Ok(Ended::TimedOut) => {
                let message = format!(
                    "The command took longer than {} s and was ended. It may have done a part of its work.",
                    self.time.as_secs()
                );
                AppReply::error(504, "command_timeout", &message)
            }
            Err(error) => {
                tracing::error!(
                    "{} cannot be started: {error}",
                    self.spawn.argv.first().map_or("", String::as_str)
                );
                AppReply::error(
                    500,
                    "command_failed",
                    &format!("The command cannot be started: {error}."),
                )
            }
        }
    }

    /// The command with the input's members in the places of their names.
    fn filled(&self, input: &Value) -> Result<Spawn, String> {
        let none = Map::new();
        let members = input.as_object().unwrap_or(&none);
        let word = |word: &String| {
            let Some(name) = placeholder(word) else {
                return Ok(word.clone());
            };
            match members.get(name) {
                None | Some(Value::Null) => Err(format!(
                    "`{name}` is missing: the input must be a JSON object with it."
                )),
                Some(Value::String(text)) if text.contains('\0') => {
                    Err(format!("`{name}` must have no NUL character."))
                }
                Some(Value::String(text)) => Ok(text.clone()),
                Some(other) => Ok(other.to_string()),
            }
        };
        let argv: Result<Vec<_>, _> = self.spawn.argv.iter().map(word).collect();
        Ok(Spawn {
            argv: argv?,
            ..self.spawn.clone()
        })
    }

    fn answer(&self, output: Vec<u8>) -> AppReply {
        match String::from_utf8(output) {
            Ok(text) => AppReply::text(200, &self.output, &text),
            Err(error) if self.output.starts_with("text/plain") => {
                AppReply::bytes(200, "application/octet-stream", error.into_bytes())
            }
            Err(error) => AppReply::bytes(200, &self.output, error.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_read_from_one_text() {
        let date = tool("GET /date=date -u '+%H %M'").unwrap();
        assert_eq!((date.method.as_str(), date.path.as_str()), ("GET", "/date"));
        assert_eq!(date.command, ["date", "-u", "+%H %M"]);
        let test = tool("/test=env A=b cargo test").unwrap();
        assert_eq!((test.method.as_str(), test.command.len()), ("POST", 4));
        for bad in ["", "/x", "x=y", "GET x=y", "/x=", "/x='open", "/x=   "] {
            assert!(tool(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_whole_word_is_a_placeholder() {
        assert_eq!(placeholder("{a-b_1}"), Some("a-b_1"));
        for word in ["{}", "{a b}", "x{a}", "{a}x", "a", "{{a}}"] {
            assert_eq!(placeholder(word), None, "{word}");
        }
    }

    #[test]
    fn limits_hold_to_the_letter() {
        let spec = |change: &dyn Fn(&mut ToolSpec)| {
            let mut spec = tool("/x=true").unwrap();
            change(&mut spec);
            spec.tool().is_ok()
        };
        assert!(spec(&|spec| spec.timeout = Some("298s".into())));
        assert!(!spec(&|spec| spec.timeout = Some("299s".into())));
        assert!(spec(&|spec| spec.max_output = Some(MOST_OUTPUT)));
        assert!(!spec(&|spec| spec.max_output = Some(MOST_OUTPUT + 1)));
        assert!(!spec(&|spec| spec.max_output = Some(0)));
        assert!(!spec(&|spec| spec.command = vec![]));
        assert!(!spec(
            &|spec| (spec.shell, spec.command) = (true, vec!["{a}".into()])
        ));
        assert!(spec(
            &|spec| (spec.shell, spec.command) = (true, vec!["echo $1".into(), "{a}".into()])
        ));
    }
}
