//! What the filter bar asks of texts, as a function of the query engine that keeps its question inside.
//!
//! ASCII case is ignored, other bytes compare exactly: what the needle index does, so that it can
//! exclude blocks and never a match.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use ipnet::IpNet;

use crate::filter::{Pattern, Piece};
use crate::needle::Want;
use crate::token;

/// A question about one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TextTest {
    /// A record in which the pattern stands, at the edges of words where it asks for that.
    Word(Pattern),
    /// This text, whatever its case.
    Same(String),
    /// A text that is as the pattern, whole.
    Like(Pattern),
    /// An address within a network.
    Within(IpNet),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextFunction {
    test: TextTest,
    signature: Signature,
}

/// The condition that a text passes a test.
pub(crate) fn tested(test: TextTest, text: Expr) -> Expr {
    let function = TextFunction { test, signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(function).call(vec![text])
}

/// The test that a function makes.
pub(crate) fn test_of(function: &ScalarUDF) -> Option<&TextTest> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<TextFunction>().map(|function| &function.test)
}

/// What a block must hold for a record of it to have the pattern.
pub(crate) fn want(pattern: &Pattern) -> Want {
    let last = pattern.pieces.len().saturating_sub(1);
    let mut keys = Vec::new();
    for (number, piece) in pattern.pieces.iter().enumerate() {
        if let Piece::Text(text) = piece {
            keys.extend(token::whole_tokens(text.as_bytes(), number == 0, number == last));
        }
    }
    Want::keys(keys)
}

impl TextTest {
    fn passes(&self, text: &str) -> bool {
        match self {
            TextTest::Word(pattern) => pattern.found_in(text.as_bytes()),
            TextTest::Same(wanted) => text.eq_ignore_ascii_case(wanted),
            TextTest::Like(pattern) => pattern.matches(text),
            TextTest::Within(network) => text.parse::<IpAddr>().is_ok_and(|address| network.contains(&address)),
        }
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        match self.test {
            TextTest::Word(_) => "has_word",
            TextTest::Same(_) => "is_text",
            TextTest::Like(_) => "is_like",
            TextTest::Within(_) => "is_within",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        self.schema_name(arguments)
    }

    /// Two questions of one column are two columns: their names must differ.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let text = arguments.first().map(|argument| argument.schema_name().to_string()).unwrap_or_default();
        Ok(format!("{}({text}, {:?})", self.name(), self.test))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return Ok(ColumnarValue::Array(Arc::new(BooleanArray::new_null(args.number_rows))));
        };
        let array = argument.to_array(args.number_rows)?;
        let array = if *array.data_type() == DataType::Utf8View { array } else { cast(&array, &DataType::Utf8View)? };
        let texts = array.as_string_view();
        let mut passed = BooleanBuilder::with_capacity(texts.len());
        for text in texts {
            passed.append_option(text.map(|text| self.test.passes(text)));
        }
        Ok(ColumnarValue::Array(Arc::new(passed.finish())))
    }
}
