//! Statements that travel to the database's thread together.
//!
//! Each statement that sqlx runs on its own is a message to the connection's thread and one back:
//! two switches of thread that cost more than most of our statements, and far more where the
//! processors are busy. What does not depend on each other's answers is therefore sent as one.

use std::ops::Index;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, FromRow, Sqlite,
    SqliteConnection, Type,
};

use super::StoreError;

/// Statements gathered in order, with what is bound to them.
///
/// Their text is put together from constants only, so that the few kinds of scripts there are
/// each stay prepared. Each takes its values as plain `?`: numbers would count across the whole.
#[derive(Default)]
pub(super) struct Script {
    sql: String,
    arguments: SqliteArguments,
    count: usize,
    fault: Option<StoreError>,
}

/// Which of a script's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(usize);

/// What each statement gave.
pub(super) struct Answers(Vec<Answer>);

/// What one statement gave.
#[derive(Default)]
pub(super) struct Answer {
    rows: Vec<SqliteRow>,
    /// How many rows it changed.
    pub(super) changed: u64,
}

impl Script {
    /// Adds a statement; its values follow by [`Script::bind`].
    pub(super) fn add(&mut self, sql: &'static str) -> &mut Self {
        debug_assert!(!sql.contains(';'), "one statement at a time: {sql}");
        self.sql.push_str(sql);
        self.sql.push_str(";\n");
        self.count += 1;
        self
    }

    /// Binds the next value of the statement that was added last.
    pub(super) fn bind<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.fault = Some(StoreError::Refused(error.to_string().into()));
        }
        self
    }

    /// The statement that was added last.
    pub(super) fn at(&self) -> At {
        At(self.count.saturating_sub(1))
    }

    /// Runs what was gathered, in order, up to the first that fails.
    pub(super) async fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Answers, StoreError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut answers = Vec::with_capacity(self.count);
        if self.count == 0 {
            return Ok(Answers(answers));
        }
        let mut answer = Answer::default();
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let mut stream = connection.fetch_many(query);
        while let Some(step) = stream.try_next().await? {
            match step {
                Either::Right(row) => answer.rows.push(row),
                Either::Left(done) => {
                    answer.changed = done.rows_affected();
                    answers.push(std::mem::take(&mut answer));
                }
            }
        }
        Ok(Answers(answers))
    }
}

impl Index<At> for Answers {
    type Output = Answer;

    fn index(&self, at: At) -> &Answer {
        &self.0[at.0]
    }
}

impl Answer {
    /// The first row, if there is any.
    pub(super) fn first<'r, T: FromRow<'r, SqliteRow>>(&'r self) -> Result<Option<T>, StoreError> {
        Ok(self.rows.first().map(T::from_row).transpose()?)
    }

    /// All rows.
    pub(super) fn all<'r, T: FromRow<'r, SqliteRow>>(&'r self) -> Result<Vec<T>, StoreError> {
        Ok(self.rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
    }
}
