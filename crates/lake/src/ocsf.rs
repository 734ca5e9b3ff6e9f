//! `ocsf('path')` in SQL: any value of the whole OCSF event, made again from the record.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, VisitMut as _, VisitorMut,
};
use vigie_model::Documents;

use crate::schema::{ENRICHMENT, LOG, RAW};

const NAME: &str = "ocsf";

/// The function, reading documents from a port.
pub(crate) fn function(documents: Arc<dyn Documents>) -> ScalarUDF {
    let signature = Signature::any(4, Volatility::Immutable);
    ScalarUDF::new_from_impl(Ocsf { signature, documents })
}

struct Ocsf {
    signature: Signature,
    documents: Arc<dyn Documents>,
}

impl fmt::Debug for Ocsf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(NAME)
    }
}

impl PartialEq for Ocsf {
    fn eq(&self, other: &Ocsf) -> bool {
        Arc::ptr_eq(&self.documents, &other.documents)
    }
}

impl Eq for Ocsf {}

impl Hash for Ocsf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

impl ScalarUDFImpl for Ocsf {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let array = |at: usize| -> Result<ArrayRef> {
            let value =
                args.args.get(at).ok_or_else(|| exec_datafusion_err!("ocsf() wants one path, such as ocsf('api.operation')"))?;
            Ok(cast(&value.to_array(rows)?, &DataType::Utf8View)?)
        };
        let (logs, records, enrichments, paths) = (array(0)?, array(1)?, array(2)?, array(3)?);
        let (logs, records, paths) = (logs.as_string_view(), records.as_string_view(), paths.as_string_view());
        let enrichments = enrichments.as_string_view();
        let mut values = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let is_there = logs.is_valid(row) && records.is_valid(row) && paths.is_valid(row);
            values.append_option(if is_there {
                let enrichment = if enrichments.is_valid(row) { enrichments.value(row) } else { "" };
                value(&*self.documents, logs.value(row), (records.value(row), enrichment), paths.value(row))
            } else {
                None
            });
        }
        Ok(ColumnarValue::Array(Arc::new(values.finish())))
    }
}

/// The text of the first value at a path of the OCSF event of a record and of what was found for it.
pub(crate) fn value(documents: &dyn Documents, log: &str, (record, enrichment): (&str, &str), path: &str) -> Option<String> {
    let document = documents.document(log, record.as_bytes(), enrichment)?;
    let document: serde_json::Value = serde_json::from_str(&document).ok()?;
    let found = path.split('.').try_fold(&document, |value, key| {
        let value = value.as_array().map_or(Some(value), |items| items.first())?;
        value.get(key)
    })?;
    match found {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Gives every `ocsf('path')` of a statement the columns that it reads.
pub(crate) fn name_columns(statement: &mut Statement) {
    struct Namer;
    impl VisitorMut for Namer {
        type Break = ();

        fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
            if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expression
                && name.to_string().eq_ignore_ascii_case(NAME)
                && list.args.len() == 1
            {
                let column = |name: &str| FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(Ident::new(name))));
                list.args.insert(0, column(ENRICHMENT));
                list.args.insert(0, column(RAW));
                list.args.insert(0, column(LOG));
            }
            ControlFlow::Continue(())
        }
    }
    if let Statement::Statement(inner) = statement {
        let _ = inner.visit(&mut Namer);
    }
}
