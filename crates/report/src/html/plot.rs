//! Where things stand in the timeline: the axis of time, the lanes of entities, the marks in them.

use vigie_model::{Millis, Principal, Severity};

use crate::html::view::{View, step_number};
use crate::story::{Blind, Line, Thread, key_of, name_of, principal_of, short};
use crate::text::{clip, middle};
use crate::words::Zone;

/// Width of the drawing, in its own units.
pub(crate) const WIDTH: f64 = 1000.0;
/// Where the axis begins.
pub(crate) const LEFT: f64 = 212.0;
/// Where the axis ends.
pub(crate) const RIGHT: f64 = 988.0;
/// Height of one row of marks.
pub(crate) const ROW: f64 = 19.0;
/// Room above and below the rows of a lane, together.
pub(crate) const PAD: f64 = 10.0;
/// Half the width of a numbered mark.
pub(crate) const STEP_RADIUS: f64 = 8.0;
/// Half the width of any other mark.
pub(crate) const PLAIN_RADIUS: f64 = 4.5;

/// Marks drawn one by one; more are counted in bins.
const MARKS_MAX: usize = 500;
/// Marks with a wait each; among more only steps show when they became known.
const WAITS_MAX: usize = 60;
/// Lanes with a name; further entities share one.
const LANES_MAX: usize = 16;
/// Spans not recorded that get a lane.
const BLINDS_MAX: usize = 8;
/// Rows into which a lane spreads marks that would cover each other.
const ROWS_MAX: usize = 8;
/// Most intervals between ticks.
const INTERVALS_MAX: i64 = 7;
const MINUTE: Millis = 60_000;
const DAY: Millis = 1_440 * MINUTE;
/// Minutes from one tick to the next.
const PACES: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 20_160, 40_320];

/// The span of time drawn: that of findings of at least medium severity, and a little room.
pub(crate) struct Axis {
    pub(crate) from: Millis,
    pub(crate) until: Millis,
}

impl Axis {
    fn of(thread: &Thread) -> Axis {
        let serious = || thread.lines.iter().filter(|line| line.severity >= Severity::Medium);
        let from = serious().map(|line| line.first).min().unwrap_or(thread.first);
        let until = serious().map(|line| line.event.delivered.unwrap_or(line.last).max(line.last)).max().unwrap_or(thread.last);
        let room = (until.saturating_sub(from) / 40).max(MINUTE / 2);
        Axis { from: from.saturating_sub(room), until: until.max(from).saturating_add(room) }
    }

    fn span(&self) -> Millis {
        self.until.saturating_sub(self.from).max(1)
    }

    fn holds(&self, at: Millis) -> bool {
        at >= self.from && at <= self.until
    }

    /// The place of an instant; what lies outside stands at the edge.
    pub(crate) fn x(&self, at: Millis) -> f64 {
        let part = at.max(self.from).min(self.until).saturating_sub(self.from) as f64 / self.span() as f64;
        LEFT + part * (RIGHT - LEFT)
    }

    /// Instants with a label: full minutes, hours or days of the zone.
    pub(crate) fn ticks(&self, zone: &Zone) -> Vec<Millis> {
        let span = self.span();
        let fits = |pace: &Millis| span / *pace <= INTERVALS_MAX;
        let pace = PACES.iter().map(|minutes| minutes * MINUTE).find(fits).unwrap_or((span / INTERVALS_MAX / DAY + 1) * DAY);
        let shift = offset(zone, self.from);
        let mut at = (self.from.saturating_add(shift).div_euclid(pace) + 1).saturating_mul(pace).saturating_sub(shift);
        let mut ticks = Vec::new();
        while at < self.until && ticks.len() <= INTERVALS_MAX as usize {
            ticks.push(at);
            at = at.saturating_add(pace);
        }
        ticks
    }
}

/// What a zone adds to UTC at an instant.
fn offset(zone: &Zone, at: Millis) -> Millis {
    let found = zone.offsets.iter().rev().find(|(from, _)| *from <= at);
    found.map_or(0, |(_, minutes)| minutes * MINUTE)
}

/// One line of the story at its place.
pub(crate) struct Mark<'t> {
    pub(crate) line: &'t Line,
    pub(crate) step: Option<usize>,
    pub(crate) row: usize,
}

impl Mark<'_> {
    /// When what is drawn of it ends: its last event or, where the wait is drawn, its delivery.
    fn until(&self, is_dense: bool) -> Millis {
        let delivered = self.line.event.delivered.filter(|_| self.step.is_some() || !is_dense);
        delivered.unwrap_or(self.line.last).max(self.line.last)
    }
}

/// The marks of one entity.
pub(crate) struct Lane<'t> {
    key: String,
    /// The credential, cut; may be empty.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) marks: Vec<Mark<'t>>,
    pub(crate) rows: usize,
}

impl<'t> Lane<'t> {
    fn of(principal: &Principal) -> Lane<'t> {
        let name = short(&name_of(principal)).to_owned();
        let id = if principal.credential.is_empty() { String::new() } else { clip(&middle(&principal.credential), 14) };
        let width = if id.is_empty() { 32 } else { 18 };
        Lane { key: key_of(principal), id, name: clip(&name, width), marks: Vec::new(), rows: 1 }
    }

    fn shared(view: &View<'_>) -> Lane<'t> {
        Lane { key: String::new(), id: String::new(), name: view.word("html.timeline.others"), marks: Vec::new(), rows: 1 }
    }

    /// Gives each mark a row in which neither it nor its wait meets another; when bins are drawn only
    /// steps count.
    fn settle(&mut self, axis: &Axis, is_binned: bool, is_dense: bool) {
        self.marks.sort_by_key(|mark| (mark.line.first, mark.step));
        let mut ends: Vec<f64> = Vec::new();
        for mark in self.marks.iter_mut().filter(|mark| mark.step.is_some() || !is_binned) {
            let radius = if mark.step.is_some() { STEP_RADIUS } else { PLAIN_RADIUS };
            let x = axis.x(mark.line.first);
            let free = ends.iter().position(|end| *end + 1.0 <= x - radius);
            if free.is_none() && ends.len() < ROWS_MAX {
                ends.push(x);
                mark.row = ends.len() - 1;
            } else {
                let soonest = || ends.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map(|(row, _)| row);
                mark.row = free.or_else(soonest).unwrap_or(0);
            }
            if let Some(end) = ends.get_mut(mark.row) {
                *end = (x + radius).max(axis.x(mark.until(is_dense)));
            }
        }
        self.rows = ends.len().max(1);
    }

    /// How much of the drawing's height it takes.
    pub(crate) fn height(&self) -> f64 {
        self.rows as f64 * ROW + PAD
    }
}

/// Everything the drawing shows.
pub(crate) struct Plot<'t> {
    pub(crate) axis: Axis,
    pub(crate) lanes: Vec<Lane<'t>>,
    pub(crate) blinds: Vec<&'t Blind>,
    /// Lines that happened outside the axis.
    pub(crate) outside: usize,
    /// Whether marks other than steps are counted in bins.
    pub(crate) is_binned: bool,
    /// Whether marks other than steps go without their wait.
    pub(crate) is_dense: bool,
}

impl<'t> Plot<'t> {
    pub(crate) fn new(view: &View<'t>, thread: &'t Thread, steps: &[&Line]) -> Plot<'t> {
        let axis = Axis::of(thread);
        let is_binned = thread.lines.len() > MARKS_MAX;
        let is_dense = thread.lines.len() > WAITS_MAX;
        let mut lanes: Vec<Lane<'t>> = vec![Lane::of(&thread.lead)];
        for (principal, _) in &thread.through {
            lane_of(&mut lanes, view, principal);
        }
        let mut outside = 0;
        for line in &thread.lines {
            if !axis.holds(line.first) {
                outside += 1;
                continue;
            }
            let mark = Mark { line, step: step_number(steps, line), row: 0 };
            let at = lane_of(&mut lanes, view, &principal_of(&line.event));
            if let Some(lane) = lanes.get_mut(at) {
                lane.marks.push(mark);
            }
        }
        lanes.retain(|lane| !lane.marks.is_empty());
        lanes.iter_mut().for_each(|lane| lane.settle(&axis, is_binned, is_dense));
        let touches = |blind: &&Blind| blind.from <= axis.until && blind.until.is_none_or(|until| until >= axis.from);
        let blinds: Vec<&'t Blind> = view.story.blinds.iter().filter(touches).take(BLINDS_MAX).collect();
        Plot { axis, lanes, blinds, outside, is_binned, is_dense }
    }
}

/// The lane of a principal, made when there is room for one more.
fn lane_of<'t>(lanes: &mut Vec<Lane<'t>>, view: &View<'_>, principal: &Principal) -> usize {
    let key = key_of(principal);
    if let Some(at) = lanes.iter().position(|lane| lane.key == key) {
        return at;
    }
    if lanes.len() < LANES_MAX {
        lanes.push(Lane::of(principal));
    } else if lanes.len() == LANES_MAX {
        lanes.push(Lane::shared(view));
    }
    lanes.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_on_full_hours_of_the_zone() {
        let axis = Axis { from: 10 * MINUTE, until: 400 * MINUTE };
        let ticks: Vec<Millis> = axis.ticks(&Zone::utc()).iter().map(|tick| tick / MINUTE).collect();
        assert_eq!(ticks, [60, 120, 180, 240, 300, 360]);
        let india = Zone { name: "Asia/Kolkata".to_owned(), offsets: vec![(i64::MIN, 330)] };
        let ticks: Vec<Millis> = axis.ticks(&india).iter().map(|tick| tick / MINUTE).collect();
        assert_eq!(ticks, [30, 90, 150, 210, 270, 330, 390]);
    }

    #[test]
    fn an_axis_without_length_still_has_places() {
        let axis = Axis { from: i64::MAX, until: i64::MAX };
        assert_eq!(axis.x(0), LEFT);
        assert!(axis.ticks(&Zone::utc()).is_empty());
    }
}
