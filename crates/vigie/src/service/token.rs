//! `vigie token`: what clients of the service show.

use std::process::ExitCode;

use vigie_model::{Scope, Tenant, Tokens as _, format_utc};
use vigie_state::State;

use crate::arguments::{TokenCommand, TokenScope};
use crate::error::Error;
use crate::output::line;
use crate::service::data::{DataFolder, now};

pub(crate) fn run(command: &TokenCommand) -> Result<ExitCode, Error> {
    match command {
        TokenCommand::Create { name, scope, days, tenant, data } => {
            let scopes: Vec<Scope> = scope.iter().map(|scope| scope_of(*scope)).collect();
            let expires = days.map(|days| now() + i64::from(days) * 86_400_000);
            let state = open(data)?;
            let (info, secret) = state.create(name, &Tenant(tenant.clone()), &scopes, now(), expires).map_err(Error::Failed)?;
            line(format_args!("{secret}"))?;
            crate::output::note(format_args!("token `{}` ({}) is shown this once", info.name, info.id));
        }
        TokenCommand::List { data } => {
            line(format_args!("id  name  tenant  scopes  created  expires  last used"))?;
            for token in open(data)?.list().map_err(Error::Failed)? {
                let at = |millis: Option<i64>| millis.map_or_else(|| "never".to_owned(), format_utc);
                let scopes = token.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join("+");
                let (created, expires, used) = (format_utc(token.created), at(token.expires), at(token.last_used));
                line(format_args!("{}  {}  {}  {scopes}  {created}  {expires}  {used}", token.id, token.name, token.tenant.0))?;
            }
        }
        TokenCommand::Revoke { id, data } => {
            if !open(data)?.revoke(id).map_err(Error::Failed)? {
                return Err(Error::Usage(format!("`{id}` is no token; `vigie token list` names them")));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(data: &std::path::Path) -> Result<State, Error> {
    State::open(&DataFolder::new(data).state()).map_err(Error::Failed)
}

fn scope_of(scope: TokenScope) -> Scope {
    match scope {
        TokenScope::Ingest => Scope::Ingest,
        TokenScope::Search => Scope::Search,
        TokenScope::Admin => Scope::Admin,
    }
}
