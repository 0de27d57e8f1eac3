// Argo CD's and Flux's definitions of their kinds, against which the example repositories are tried: read
// from the modules, no code of them is built.
module microservice.dev/gitops

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/fluxcd/kustomize-controller v1.9.6
	github.com/fluxcd/source-controller v1.9.6
)
