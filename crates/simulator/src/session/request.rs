//! What a response is asked to be, and what it will say.

use serde_json::{Map, Value};

use super::SimSession;
use crate::conversation::Content;
use crate::dialect::Dialect;
use crate::format::WireFormat;
use crate::ladder::{Ending, Output};
use crate::refusal::Refusal;
use crate::shapes::{self, Settings, beta, ga};
use crate::voice::{self, Prompt};

/// A token of answered audio, in ms: 20 a second, as the service counts.
const MS_PER_TOKEN: u64 = 50;

/// A response as asked for: the session's settings with the overrides of its `response.create`.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub instructions: Option<String>,
    pub text_only: bool,
    pub format: WireFormat,
    pub voice: Value,
    pub max_output_tokens: Option<u64>,
    pub metadata: Value,
    /// `conversation: "none"`.
    pub out_of_band: bool,
    tools: Vec<Value>,
    tool_choice: Value,
    /// `input`, when it was given: the text of its last user item.
    input: Option<Option<String>>,
    idle: bool,
}

impl Request {
    /// The answer to a turn that the server found itself.
    pub(super) fn turn(settings: &Settings) -> Self {
        Self {
            instructions: None,
            text_only: settings.text_only,
            format: settings.output,
            voice: settings.voice.clone(),
            max_output_tokens: settings.max_output_tokens,
            metadata: Value::Null,
            out_of_band: false,
            tools: settings.tools.clone(),
            tool_choice: settings.tool_choice.clone(),
            input: None,
            idle: false,
        }
    }

    /// The question after the idle timeout.
    pub(super) fn idle(settings: &Settings) -> Self {
        Self { idle: true, ..Self::turn(settings) }
    }

    /// Reads a `response.create`.
    pub(super) fn read(dialect: Dialect, settings: &Settings, event: &Value) -> Result<Self, Refusal> {
        let mut request = Self::turn(settings);
        let Some(given) = event.get("response").filter(|given| !given.is_null()) else { return Ok(request) };
        for (key, value) in shapes::object(given, "response")? {
            let at = format!("response.{key}");
            match key.as_str() {
                "instructions" => request.instructions = value.as_str().map(str::to_owned),
                "tools" => {
                    shapes::check_tools(value, &at)?;
                    request.tools = value.as_array().cloned().unwrap_or_default();
                }
                "tool_choice" => request.tool_choice = value.clone(),
                "metadata" => request.metadata = value.clone(),
                "conversation" => {
                    shapes::one_of(value, &at, &["auto", "none"])?;
                    request.out_of_band = value == "none";
                }
                "input" => request.input = Some(last_user_text(value)),
                "max_output_tokens" => {
                    shapes::token_limit(value, &at)?;
                    request.max_output_tokens = value.as_u64();
                }
                "prompt" | "reasoning" | "parallel_tool_calls" if dialect.is_ga() => {}
                "output_modalities" if dialect.is_ga() => {
                    shapes::one_of(value.get(0).unwrap_or(&Value::Null), &at, &["audio", "text"])?;
                    if value.as_array().is_some_and(|list| list.len() > 1) {
                        return Err(Refusal::value(&at, value, "Supported combinations are: ['text'] and ['audio']."));
                    }
                    request.text_only = value.get(0).is_some_and(|first| first == "text");
                }
                "audio" if dialect.is_ga() => {
                    let output =
                        shapes::object(value, &at)?.get("output").cloned().unwrap_or(Value::Object(Map::new()));
                    if let Some(format) = output.get("format") {
                        request.format = ga::wire_format(Some(&ga::format(format, "response.audio.output.format")?));
                    }
                    if let Some(voice) = output.get("voice") {
                        request.voice = voice.clone();
                    }
                }
                _ if dialect.is_ga() => return Err(Refusal::unknown(&at)),
                "modalities" => {
                    let list = beta::modalities(value, &at)?;
                    request.text_only = !list.as_array().is_some_and(|list| list.iter().any(|entry| entry == "audio"));
                }
                "voice" => request.voice = value.clone(),
                "output_audio_format" => request.format = beta::wire_format(value.as_str(), 24_000),
                "max_response_output_tokens" => {
                    shapes::token_limit(value, &at)?;
                    request.max_output_tokens = value.as_u64();
                }
                "temperature" => {}
                _ if dialect == Dialect::VoiceLive => {}
                _ => return Err(Refusal::unknown(&at)),
            }
        }
        Ok(request)
    }

    fn declares(&self, name: &str) -> bool {
        self.tool_choice != "none" && self.tools.iter().any(|tool| tool.get("name").is_some_and(|known| known == name))
    }

    /// The tool that must be called whatever was said, by `tool_choice`.
    fn forced(&self) -> Option<String> {
        let named = self.tool_choice.get("name").and_then(Value::as_str);
        let first = (self.tool_choice == "required").then(|| self.tools.first()?.get("name")?.as_str()).flatten();
        named.or(first).filter(|name| self.declares(name)).map(str::to_owned)
    }
}

fn last_user_text(input: &Value) -> Option<String> {
    let user = input.as_array()?.iter().rev().find(|item| item.get("role").is_some_and(|role| role == "user"))?;
    user.get("content")?.as_array()?.iter().find_map(|part| part.get("text")?.as_str()).map(str::to_owned)
}

/// What a text tells the simulator to do, wherever in the text it stands:
/// `#tool NAME {json}`, `#say-tool NAME {json}` (words first, in the same response), `#fail CODE`, `#incomplete REASON`.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    Call { say: bool, name: String, arguments: String },
    Fail(String),
    Incomplete(String),
}

fn order(text: &str) -> Option<Order> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once('#')?;
        let (verb, rest) = rest.split_once(' ')?;
        let (name, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let name = name.trim_end_matches(['.', '"', '\'', ',']).to_owned();
        match verb {
            "tool" | "say-tool" => Some(Order::Call { say: verb == "say-tool", name, arguments: arguments(rest) }),
            "fail" => Some(Order::Fail(name)),
            "incomplete" => Some(Order::Incomplete(name)),
            _ => None,
        }
    })
}

/// The same in the session's instructions, for spoken turns: `#turn N tool NAME {json}`.
fn turn_order(instructions: &str, turn: u32) -> Option<Order> {
    let prefix = format!("#turn {turn} ");
    instructions.lines().find_map(|line| order(&format!("#{}", line.trim().strip_prefix(&prefix)?)))
}

fn arguments(text: &str) -> String {
    match (text.find('{'), text.rfind('}')) {
        (Some(from), Some(to)) if from < to => text.get(from..=to).unwrap_or("{}").to_owned(),
        _ => "{}".to_owned(),
    }
}

impl SimSession {
    /// What a response will say, and how it will end if nobody cuts it off.
    pub(super) fn plan(&mut self, request: &Request) -> (Vec<Output>, Ending) {
        if let Some(code) = &self.faults.fail_responses {
            return (Vec::new(), Ending::Failed(code.clone()));
        }
        let given = request.input.as_ref().map(|text| text.clone().map(Content::CallerText));
        let content = match &given {
            Some(content) => content.as_ref(),
            None => self.conversation.unanswered().map(|item| &item.content),
        };
        let prompt = match content {
            _ if request.idle => Prompt::Idle,
            Some(content) => Prompt::Item(content),
            None => Prompt::Greeting,
        };
        let order = match content {
            Some(Content::CallerText(text)) => order(text),
            Some(Content::CallerAudio { turn, .. }) if !request.idle => self.scripted(*turn),
            _ => None,
        };
        let order = order.or_else(|| request.instructions.as_deref().and_then(self::order)).or_else(|| {
            let name = request.forced().filter(|_| !matches!(content, Some(Content::CallOutput(_))))?;
            Some(Order::Call { say: false, name, arguments: "{}".to_owned() })
        });
        let speech = |prompt| {
            let said = voice::answer(&self.options.reply, prompt, request.format);
            if request.text_only {
                Output::Text(said.transcript)
            } else {
                Output::Speech { audio: said.audio, transcript: said.transcript }
            }
        };
        match order {
            Some(Order::Fail(code)) => (Vec::new(), Ending::Failed(code)),
            Some(Order::Incomplete(reason)) => (vec![speech(prompt)], Ending::Incomplete(reason)),
            Some(Order::Call { say, name, arguments }) if request.declares(&name) => {
                let mut outputs = Vec::new();
                outputs.extend(say.then(|| speech(Prompt::Goodbye)));
                outputs.push(Output::Call { name, call_id: self.ids.call_id(), arguments });
                (outputs, Ending::Completed)
            }
            _ => limited(speech(prompt), request),
        }
    }

    fn scripted(&self, turn: u32) -> Option<Order> {
        let call = self.options.script.iter().find(|call| call.turn == turn);
        let call =
            call.map(|call| Order::Call { say: false, name: call.name.clone(), arguments: call.arguments.clone() });
        call.or_else(|| turn_order(&self.settings.instructions, turn))
    }
}

/// Cut to `max_output_tokens`.
fn limited(output: Output, request: &Request) -> (Vec<Output>, Ending) {
    let Some(tokens) = request.max_output_tokens else { return (vec![output], Ending::Completed) };
    let incomplete = || Ending::Incomplete("max_output_tokens".to_owned());
    match output {
        Output::Speech { mut audio, transcript } => {
            let limit = (tokens * MS_PER_TOKEN) as usize * request.format.bytes_per_ms();
            let cut = audio.len() > limit;
            audio.truncate(limit);
            (vec![Output::Speech { audio, transcript }], if cut { incomplete() } else { Ending::Completed })
        }
        Output::Text(text) if text.split(' ').count() as u64 > tokens => {
            let words: Vec<&str> = text.split(' ').take(tokens as usize).collect();
            (vec![Output::Text(words.join(" "))], incomplete())
        }
        other => (vec![other], Ending::Completed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_found_in_texts() {
        let call =
            |say, arguments: &str| Some(Order::Call { say, name: "hang_up".into(), arguments: arguments.into() });
        assert_eq!(order("#tool hang_up {\"reason\":\"done\"}"), call(false, "{\"reason\":\"done\"}"));
        assert_eq!(order("The caller keyed: #tool hang_up"), call(false, "{}"));
        assert_eq!(order("Greet.\n#say-tool hang_up {}"), call(true, "{}"));
        assert_eq!(order("#fail server_error"), Some(Order::Fail("server_error".into())));
        assert_eq!(order("dial 1234#"), None);
        assert_eq!(turn_order("Be kind.\n#turn 2 tool hang_up {}", 2), call(false, "{}"));
        assert_eq!(turn_order("Be kind.\n#turn 2 tool hang_up {}", 1), None);
    }
}
