//! Words of the product.
