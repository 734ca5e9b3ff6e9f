//! What the service must remember beside events: tokens, saved searches.
