// KEDA's definitions of its kinds, which the behaviour tests install: read from the module, no code of it
// is built.
module microservice.dev/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
