//! Tables of defaults, precedence and violations, and properties over generated specs.
