use serde::Serialize;
use utoipa::ToSchema;

/// Most points of a call's series; a longer call is shown more coarsely.
const MAX_POINTS: usize = 600;

/// What a call's line was like in one step of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePoint {
    /// Peak level of the caller, in dBFS.
    pub up_db: i8,
    /// Peak level of what the caller was sent, in dBFS.
    pub down_db: i8,
    /// Caller audio that waited, in ms.
    pub up_queued_ms: u32,
    /// Model audio that waited, in ms.
    pub down_queued_ms: u32,
}

impl LinePoint {
    /// The worse of two: what is shown coarsely must not hide a peak.
    fn join(self, other: Self) -> Self {
        Self {
            up_db: self.up_db.max(other.up_db),
            down_db: self.down_db.max(other.down_db),
            up_queued_ms: self.up_queued_ms.max(other.up_queued_ms),
            down_queued_ms: self.down_queued_ms.max(other.down_queued_ms),
        }
    }
}

/// A call's line over time: one point a second, and coarser by half whenever [`MAX_POINTS`] are reached, so that the
/// whole of a call of any length fits into 7 KiB.
#[derive(Debug)]
pub(super) struct LineSeries {
    points: Vec<LinePoint>,
    /// Age of the call when the first second began, in ms.
    from_ms: u64,
    /// Seconds a point stands for.
    step: u32,
    /// Of the point that is being gathered.
    gathered: u32,
}

impl Default for LineSeries {
    fn default() -> Self {
        Self { points: Vec::new(), from_ms: 0, step: 1, gathered: 0 }
    }
}

impl LineSeries {
    /// Takes the second in that ended when the call was `age_ms` old.
    pub(super) fn push(&mut self, age_ms: u64, second: LinePoint) {
        if self.points.is_empty() {
            self.from_ms = age_ms.saturating_sub(1_000);
        }
        match self.points.last_mut().filter(|_| self.gathered > 0) {
            Some(last) => *last = last.join(second),
            None => self.points.push(second),
        }
        self.gathered = (self.gathered + 1) % self.step;
        if self.gathered == 0 && self.points.len() == MAX_POINTS {
            let (pairs, _) = self.points.as_chunks::<2>();
            self.points = pairs.iter().map(|[first, second]| first.join(*second)).collect();
            self.step = self.step.saturating_mul(2);
        }
    }
}

/// A call's line over time, oldest first; each list holds one value a step since the call's media came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesView {
    /// Length of a step.
    pub step_ms: u64,
    /// Age of the call when the first step began.
    pub from_ms: u64,
    /// Peak level of the caller, in dBFS; -96 is silence.
    pub up_db: Vec<i8>,
    /// Peak level of what the caller was sent, in dBFS.
    pub down_db: Vec<i8>,
    /// Caller audio that waited, in ms.
    pub up_queued_ms: Vec<u32>,
    /// Model audio that waited, in ms.
    pub down_queued_ms: Vec<u32>,
}

impl SeriesView {
    pub(super) fn of(series: &LineSeries) -> Self {
        let step_ms = u64::from(series.step) * 1_000;
        let mut view = Self { step_ms, from_ms: series.from_ms, ..Self::default() };
        for point in &series.points {
            view.up_db.push(point.up_db);
            view.down_db.push(point.down_db);
            view.up_queued_ms.push(point.up_queued_ms);
            view.down_queued_ms.push(point.down_queued_ms);
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(value: u32) -> LinePoint {
        let db = -(i8::try_from(value % 97).unwrap());
        LinePoint { up_db: db, down_db: -96, up_queued_ms: value, down_queued_ms: 2 * value }
    }

    #[test]
    fn a_second_is_a_point_until_there_are_too_many() {
        let mut series = LineSeries::default();
        for second in 0..599 {
            series.push(u64::from(second + 1) * 1_000 + 40, point(second));
        }
        let view = SeriesView::of(&series);
        assert_eq!((view.step_ms, view.from_ms, view.up_db.len()), (1_000, 40, 599));
        assert_eq!(view.down_queued_ms.get(..3), Some(&[0, 2, 4][..]));
        series.push(600_040, point(599));
        let view = SeriesView::of(&series);
        assert_eq!((view.step_ms, view.up_queued_ms.len()), (2_000, 300));
        assert_eq!(view.up_queued_ms.get(..3), Some(&[1, 3, 5][..]));
        for (age_s, value) in [(601, 7), (602, 5), (603, 1)] {
            series.push(age_s * 1_000 + 40, point(value));
        }
        let view = SeriesView::of(&series);
        assert_eq!(view.from_ms, 40);
        assert_eq!(view.up_queued_ms.get(300..), Some(&[7, 1][..]));
    }

    proptest! {
        #[test]
        fn no_peak_is_lost_and_no_second_counted_twice(seconds in proptest::collection::vec(0_u32..10_000, 1..4_000)) {
            let mut series = LineSeries::default();
            for second in &seconds {
                series.push(1_000, point(*second));
            }
            let view = SeriesView::of(&series);
            prop_assert!(view.up_db.len() <= MAX_POINTS);
            prop_assert_eq!(view.up_queued_ms.iter().max(), seconds.iter().max());
            let step = usize::try_from(view.step_ms / 1_000).unwrap();
            prop_assert_eq!(view.up_queued_ms.len(), seconds.len().div_ceil(step));
            for (shown, real) in view.up_queued_ms.iter().zip(seconds.chunks(step)) {
                prop_assert_eq!(Some(shown), real.iter().max());
            }
        }
    }
}
