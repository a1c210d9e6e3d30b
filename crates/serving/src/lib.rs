//! Deployments: what a pointer of the registry serves, swapped without dropping a request.
