//! A real model behind an OpenAI-style server, where one is given.
//!
//! Its words are its own, so only what must hold for any model is asserted.

use llm::{
    CancellationToken, Client, ErrorKind, Event, Message, Provider, Request, Stop, estimate,
};

use crate::server::{PATIENCE, outcome};

#[expect(clippy::print_stdout, reason = "a test that did not run must say so")]
fn client() -> Option<Client> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of a service")]
    let url = std::env::var("KOTONOHA_REAL_MODEL_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("skipped: no real model");
    }
    url.map(|url| Client::new(Provider::openai("real", url)).unwrap())
}

fn question(text: &str, max_output_tokens: u32) -> Request {
    let request = Request::new("small", "You answer briefly.").with(Message::user(text));
    Request { max_output_tokens, temperature: Some(0.0), ..request }
}

#[tokio::test]
async fn a_real_model_answers_and_says_what_it_used() {
    let Some(client) = client() else { return };
    let request = question("What is the capital of France?", 32);
    let mut answer = client.stream(&request, &CancellationToken::new());
    let outcome = outcome(&mut answer).await;
    assert!(!outcome.text.trim().is_empty());
    let (stop, used) = outcome.end.unwrap();
    assert!(matches!(stop, Stop::End | Stop::MaxTokens), "{stop:?}");
    let used = used.expect("this server reports usage");
    assert!((1..=32).contains(&used.output_tokens), "{used:?}");
    let estimated = estimate::request_tokens(&request);
    assert!(
        (used.input_tokens / 3..=used.input_tokens * 3).contains(&estimated),
        "{used:?} {estimated}"
    );
    assert!(answer.first_text_after().is_some() && answer.model().is_some());
}

#[tokio::test]
async fn a_real_model_stops_at_the_limit() {
    let Some(client) = client() else { return };
    let request = question("Tell me a very long story about a cat and a dog.", 8);
    let whole = client.stream(&request, &CancellationToken::new()).whole().await.unwrap();
    assert_eq!(whole.stop, Stop::MaxTokens);
}

#[tokio::test]
async fn a_real_prompt_that_is_too_long_is_known_as_such() {
    let Some(client) = client() else { return };
    let request = question(&"The quick brown fox jumps over the lazy dog. ".repeat(4_000), 8);
    let mut answer = client.stream(&request, &CancellationToken::new());
    let error = outcome(&mut answer).await.error();
    let ErrorKind::ContextTooLong { have, max } = error.kind() else { panic!("{error}") };
    assert!(have.unwrap() > max.unwrap(), "{error}");
}

#[tokio::test]
async fn cancelling_a_real_model_frees_it_for_the_next() {
    let Some(client) = client() else { return };
    let long = question("Count from one to one thousand in words.", 1_000);
    for _ in 0..4 {
        let cancel = CancellationToken::new();
        let mut answer = client.stream(&long, &cancel);
        while !matches!(answer.next().await.unwrap().unwrap(), Event::Text(_)) {}
        cancel.cancel();
        assert_eq!(*outcome(&mut answer).await.error().kind(), ErrorKind::Cancelled);
    }
    let short = question("Say hello.", 4);
    let answer = client.stream(&short, &CancellationToken::new());
    let whole = tokio::time::timeout(PATIENCE, answer.whole()).await.unwrap().unwrap();
    assert!(!whole.text.is_empty());
}
