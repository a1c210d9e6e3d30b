//! Registered models, versions, aliases, stages, policies, verdicts and promotions.
