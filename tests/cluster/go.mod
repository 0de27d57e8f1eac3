module microservice.dev/cluster

go 1.26
