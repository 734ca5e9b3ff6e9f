//! `date_trunc` in SQL: what the engine's own function gives, without a look at a time zone for each row.
//!
//! For a column with a zone, even UTC, the engine asks a calendar of zones about each row, and writes for
//! each the text of an error that does not happen. For a column without one it divides numbers. Both give
//! the same numbers for UTC, the zone of every instant here, so the zone is taken off and put back.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::functions::datetime::date_trunc::DateTruncFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::write::DAY_MS;

/// Before this instant, in microseconds, a day may begin earlier than a number can say.
const EARLIEST_US: i64 = i64::MIN + DAY_MS * 1000;

/// The function, in place of the engine's own.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(Truncate::default())
}

#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Truncate {
    theirs: DateTruncFunc,
}

/// Instants in UTC as a column without a zone, and how the zone was called; none of anything else.
fn without_zone(value: &ColumnarValue) -> Option<(ColumnarValue, Arc<str>)> {
    let ColumnarValue::Array(array) = value else {
        return None;
    };
    let DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) = array.data_type() else {
        return None;
    };
    let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    let is_utc = matches!(&**zone, "UTC" | "+00:00");
    // With a zone the engine refuses earlier ones; without, it would count past the end of numbers.
    if !is_utc || times.values().iter().any(|time| *time < EARLIEST_US) {
        return None;
    }
    let bare = times.clone().with_timezone_opt(None::<Arc<str>>);
    Some((ColumnarValue::Array(Arc::new(bare)), Arc::clone(zone)))
}

impl ScalarUDFImpl for Truncate {
    fn name(&self) -> &str {
        self.theirs.name()
    }

    fn aliases(&self) -> &[String] {
        self.theirs.aliases()
    }

    fn signature(&self) -> &Signature {
        self.theirs.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.theirs.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.theirs.return_field_from_args(args)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.theirs.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.theirs.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((bare, zone)) = args.args.get(1).and_then(without_zone) else {
            return self.theirs.invoke_with_args(args);
        };
        if let Some(times) = args.args.get_mut(1) {
            *times = bare;
        }
        let rows = args.number_rows;
        let truncated = self.theirs.invoke_with_args(args)?.into_array(rows)?;
        let times = truncated.as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.ok_or_else(|| exec_datafusion_err!("date_trunc() of instants gave no instants"))?;
        Ok(ColumnarValue::Array(Arc::new(times.clone().with_timezone_opt(Some(zone)))))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, TimestampMicrosecondArray};
    use arrow::compute::SortOptions;
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::common::config::ConfigOptions;

    use super::*;

    const DAY_US: i64 = DAY_MS * 1000;
    /// As the engine knows them, one written otherwise, and one that it does not know.
    const LENGTHS: [&str; 12] = [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "quarter",
        "year",
        "Hour",
        "fortnight",
    ];

    fn instants(times: &[Option<i64>], zone: Option<&str>) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone_opt(zone)))
    }

    /// What a function makes of times, or what it says.
    fn truncated(function: &dyn ScalarUDFImpl, length: &str, times: &ColumnarValue) -> Result<ArrayRef, String> {
        let rows = match times {
            ColumnarValue::Array(array) => array.len(),
            ColumnarValue::Scalar(_) => 1,
        };
        let arg_fields: Vec<FieldRef> =
            vec![Arc::new(Field::new("length", DataType::Utf8, false)), Arc::new(Field::new("time", times.data_type(), true))];
        let field = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &[None, None] };
        let return_field = function.return_field_from_args(field).unwrap();
        let kind = return_field.data_type().clone();
        let args = ScalarFunctionArgs {
            args: vec![ColumnarValue::Scalar(ScalarValue::from(length)), times.clone()],
            arg_fields,
            number_rows: rows,
            return_field,
            config_options: Arc::new(ConfigOptions::default()),
        };
        let array = function.invoke_with_args(args).and_then(|value| value.into_array(rows));
        let array = array.map_err(|error| error.to_string())?;
        assert_eq!(*array.data_type(), kind, "{length}");
        Ok(array)
    }

    fn check(times: &ColumnarValue) {
        let (ours, theirs) = (Truncate::default(), DateTruncFunc::new());
        for length in LENGTHS {
            assert_eq!(truncated(&ours, length, times), truncated(&theirs, length, times), "{length}");
        }
    }

    #[test]
    fn every_length_is_cut_as_the_engine_cuts_it() {
        // Within what nanoseconds can say, years 1700 to 2239, where the engine answers too.
        let chance = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).cast_signed() % 8_500_000_000_000_000;
        let mut times: Vec<Option<i64>> = (0..2000).map(|number| Some(chance(number))).collect();
        // Where each day of 1968 to 1971 begins, and a microsecond before and after.
        times.extend((-731..730).flat_map(|day| (-1..=1).map(move |beside| Some(day * DAY_US + beside))));
        let mut holes = times.clone();
        holes.iter_mut().step_by(3).for_each(|time| *time = None);
        for zone in [Some("UTC"), Some("+00:00"), Some("+02:00"), Some("Europe/Paris"), None] {
            for times in [&times, &holes, &vec![None; 3], &Vec::new()] {
                check(&instants(times, zone));
            }
            for time in [Some(-1), Some(1_790_000_000_123_456), None] {
                check(&ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(time, zone.map(Arc::from))));
            }
        }
        check(&ColumnarValue::Scalar(ScalarValue::Null));
    }

    #[test]
    fn a_far_time_ends_no_query_and_one_before_all_numbers_is_refused() {
        let year_5138 = 100_000_000_000_000_000;
        let hour = |time| truncated(&Truncate::default(), "hour", &instants(&[Some(time), None], Some("UTC")));
        let array = hour(year_5138).unwrap();
        let times = array.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.iter().collect::<Vec<_>>(), [Some(year_5138 - year_5138 % (DAY_US / 24)), None]);
        let said = hour(i64::MIN).unwrap_err();
        assert!(said.contains("out of range"), "{said}");
    }

    #[test]
    fn plans_know_as_much_of_it_as_of_the_engines_own() {
        let (ours, theirs) = (function(), DateTruncFunc::new());
        assert_eq!((ours.name(), ours.aliases()), (theirs.name(), theirs.aliases()));
        assert_eq!(ours.signature(), theirs.signature());
        assert!(ours.documentation().is_some() && ours.documentation() == theirs.documentation());
        let sorted = SortProperties::Ordered(SortOptions::default());
        let inputs = [SortProperties::Singleton, sorted].map(|order| ExprProperties::new_unknown().with_order(order));
        assert_eq!(ours.output_ordering(&inputs).unwrap(), sorted);
    }
}
