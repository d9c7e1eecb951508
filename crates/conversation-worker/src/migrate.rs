//! The `migrate` command, by which an operator moves the database from one revision to another.

use chassis::{Answer, Command, Reader};

use crate::config;
use crate::store::SCHEMA;

/// `conversation-worker migrate …`.
pub const COMMAND: Command = Command { name: "migrate", usage: database::USAGE, run };

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    let path = config::database(reader);
    if reader.has_faults() {
        // Which database is meant was not understood; the caller says why.
        return Answer { out: String::new(), complaint: String::new(), code: 64 };
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let complaint = format!("failed to start the runtime: {error}");
            return Answer { out: String::new(), complaint, code: 1 };
        }
    };
    let answer = runtime.block_on(database::migrate(&SCHEMA, &path, words));
    Answer { out: answer.out, complaint: answer.complaint, code: answer.code }
}
