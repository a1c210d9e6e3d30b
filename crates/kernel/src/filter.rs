//! The search language of MLflow: text to AST. No SQL here; each layer turns the AST into its own.
