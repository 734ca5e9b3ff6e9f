//! Events as they are committed: what is new since somebody last looked.
//!
//! An event is new by the instant at which it was taken in, not by when it happened. Deliveries are
//! committed a little out of that order, so the last minute is read again, and ids say what was shown.

use std::collections::HashMap;

use vigie_model::{Ask, Cell, Millis, QueryEngine, QueryError, Question, Tenant};

/// Events given by one look; the others are for the next.
const NEWS_ROWS_MAX: usize = 1000;
/// How much later than it was taken in an event may be committed and still be found, in milliseconds.
const LATE_MS_MAX: Millis = 60_000;
/// Events remembered as shown.
const SHOWN_MAX: usize = 20_000;

/// What is new.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct News {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Events that were not given before, oldest first.
    pub rows: Vec<Vec<Cell>>,
    /// The version of the table that was read.
    pub version: u64,
    /// Whether there are more already: look again at once.
    pub has_more: bool,
    /// Whether so much came at once that some events will not be given.
    pub is_lossy: bool,
}

/// Follows the events that match a filter.
#[derive(Debug)]
pub struct Follow {
    tenant: Tenant,
    filter: String,
    /// Only events that were taken in from here on.
    from: Millis,
    /// When each event that was given was taken in, in microseconds, by its id.
    shown: HashMap<String, i64>,
}

impl Follow {
    /// Follows a tenant's events that are taken in from an instant on.
    pub fn new(tenant: Tenant, filter: String, from: Millis) -> Follow {
        Follow { tenant, filter, from, shown: HashMap::new() }
    }

    /// What is new since the last look. Blocks for as long as the query takes.
    ///
    /// # Errors
    /// When the filter is wrong or the query cannot be answered.
    pub fn look(&mut self, engine: &dyn QueryEngine) -> Result<News, QueryError> {
        // What was shown may come first: with room for all of that, what is new is seen behind it.
        let limit = self.shown.len() + NEWS_ROWS_MAX + 1;
        let ask = Ask::Search { filter: self.filter.clone(), limit };
        let question = Question { arrived: Some(self.from), ..Question::new(self.tenant.clone(), ask) };
        let mut rows = engine.ask(&question)?;
        let columns = rows.columns().to_vec();
        let place = |name: &str| columns.iter().position(|column| column == name);
        let (Some(id_at), Some(ingested_at)) = (place("event_id"), place("ingested")) else {
            return Err(QueryError::Failed("the lake does not say which events are new; ask with a search".to_owned()));
        };
        let version = rows.version();
        let mut news = News { columns, version, ..News::default() };
        'all: while let Some(batch) = rows.next()? {
            for row in batch {
                let (Some(Cell::Text(id)), Some(Cell::Time(ingested))) = (row.get(id_at), row.get(ingested_at)) else {
                    continue;
                };
                if self.shown.contains_key(id) {
                    continue;
                }
                if news.rows.len() >= NEWS_ROWS_MAX {
                    news.has_more = true;
                    break 'all;
                }
                self.shown.insert(id.clone(), *ingested);
                news.rows.push(row);
            }
        }
        news.rows.reverse();
        news.is_lossy = self.forget(news.has_more);
        Ok(news)
    }

    /// Forgets what is too old to come again. True when events that are not shown yet are given up.
    fn forget(&mut self, has_more: bool) -> bool {
        if let Some(newest) = self.shown.values().copied().max().filter(|_| !has_more) {
            self.advance(newest.div_euclid(1000).saturating_sub(LATE_MS_MAX));
        }
        if self.shown.len() <= SHOWN_MAX {
            return false;
        }
        let mut instants: Vec<i64> = self.shown.values().copied().collect();
        instants.sort_unstable();
        if let Some(middle) = instants.get(instants.len() / 2) {
            self.advance(middle.div_euclid(1000).saturating_add(1));
        }
        has_more
    }

    fn advance(&mut self, from: Millis) {
        if from > self.from {
            self.from = from;
            self.shown.retain(|_, ingested| ingested.div_euclid(1000) >= from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use vigie_model::Rows;

    use super::*;

    /// Events as (when taken in, in milliseconds; number), newest first.
    struct Engine(Mutex<Vec<(Millis, u64)>>);

    struct All {
        columns: Vec<String>,
        rows: Vec<Vec<Cell>>,
    }

    impl Rows for All {
        fn columns(&self) -> &[String] {
            &self.columns
        }

        fn version(&self) -> u64 {
            7
        }

        fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, QueryError> {
            Ok(Some(std::mem::take(&mut self.rows)).filter(|rows| !rows.is_empty()))
        }
    }

    impl QueryEngine for Engine {
        fn ask(&self, question: &Question) -> Result<Box<dyn Rows>, QueryError> {
            let Ask::Search { limit, .. } = &question.ask else {
                return Err(QueryError::Question("only searches".to_owned()));
            };
            let events = self.0.lock().unwrap();
            let arrived = events.iter().filter(|(at, _)| question.arrived.is_none_or(|from| *at >= from)).take(*limit);
            let row = |(at, number): &(Millis, u64)| vec![Cell::Text(format!("{number:032x}")), Cell::Time(at * 1000)];
            Ok(Box::new(All { columns: vec!["event_id".to_owned(), "ingested".to_owned()], rows: arrived.map(row).collect() }))
        }

        fn version(&self) -> u64 {
            7
        }
    }

    /// Looks after each of the commits; the numbers of the events that each look gives.
    #[track_caller]
    fn check(commits: &[&[(Millis, u64)]], expected: &[&[u64]]) {
        let engine = Engine(Mutex::new(Vec::new()));
        let mut follow = Follow::new(Tenant::default(), String::new(), 1000);
        for (commit, expected) in commits.iter().zip(expected) {
            drop(engine.0.lock().unwrap().splice(0..0, commit.iter().copied()));
            let news = follow.look(&engine).unwrap();
            let numbers: Vec<String> = expected.iter().map(|number| format!("{number:032x}")).collect();
            let found: Vec<String> = news.rows.iter().map(|row| format!("{:?}", row[0])).collect();
            assert_eq!(found, numbers.iter().map(|id| format!("Text(\"{id}\")")).collect::<Vec<_>>());
            assert!(!news.has_more && !news.is_lossy);
        }
    }

    #[test]
    fn each_event_is_given_once_even_when_its_commit_is_late() {
        check(&[&[], &[(1000, 1)], &[]], &[&[], &[1], &[]]);
        check(&[&[(999, 1)], &[(1001, 3), (1000, 2)]], &[&[], &[2, 3]]);
        check(&[&[(5000, 2)], &[(4000, 1)], &[(5000, 3)]], &[&[2], &[1], &[3]]);
        check(&[&[(100_000, 2)], &[(39_999, 1)], &[(40_000, 3)]], &[&[2], &[], &[3]]);
    }

    #[test]
    fn more_than_a_look_gives_comes_with_the_next() {
        let events: Vec<(Millis, u64)> = (0..2500).map(|number| (2000, number)).collect();
        let engine = Engine(Mutex::new(events));
        let mut follow = Follow::new(Tenant::default(), String::new(), 1000);
        let looks: Vec<(usize, bool)> = (0..4)
            .map(|_| {
                let news = follow.look(&engine).unwrap();
                (news.rows.len(), news.has_more)
            })
            .collect();
        assert_eq!(looks, [(1000, true), (1000, true), (500, false), (0, false)]);
    }

    #[test]
    fn a_flood_says_that_events_are_lost() {
        let events: Vec<(Millis, u64)> = (0..30_000).map(|number| (2000, number)).collect();
        let engine = Engine(Mutex::new(events));
        let mut follow = Follow::new(Tenant::default(), String::new(), 1000);
        let lossy = (0..21).filter(|_| follow.look(&engine).unwrap().is_lossy).count();
        assert_eq!(lossy, 1);
        assert!(follow.shown.is_empty());
    }
}
