// manifests FOLDER...: builds each folder with kustomize and decodes every object strictly into the Go type that the
// Kubernetes API server has for it, so that an unknown field, a wrong type or an unknown kind is an error. Prints the
// objects as YAML.
package main

import (
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"apps/v1 StatefulSet":                 func() any { return &apps.StatefulSet{} },
	"batch/v1 Job":                        func() any { return &batch.Job{} },
	"monitoring.coreos.com/v1 PodMonitor": func() any { return &monitoring.PodMonitor{} },
	"networking.k8s.io/v1 NetworkPolicy":  func() any { return &networking.NetworkPolicy{} },
	"v1 ConfigMap":                        func() any { return &core.ConfigMap{} },
	"v1 PersistentVolumeClaim":            func() any { return &core.PersistentVolumeClaim{} },
	"v1 Secret":                           func() any { return &core.Secret{} },
	"v1 Service":                          func() any { return &core.Service{} },
	"v1 ServiceAccount":                   func() any { return &core.ServiceAccount{} },
}

func main() {
	for _, folder := range os.Args[1:] {
		if err := check(folder); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", folder, err)
			os.Exit(1)
		}
	}
}

func check(folder string) error {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return err
	}
	for _, object := range built.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			return err
		}
		kind := object.GetApiVersion() + " " + object.GetKind()
		make, known := kinds[kind]
		if !known {
			return fmt.Errorf("%s is no kind that is known here", kind)
		}
		if err := yaml.UnmarshalStrict(text, make()); err != nil {
			return fmt.Errorf("%s %s: %w", kind, object.GetName(), err)
		}
		fmt.Printf("---\n%s", text)
	}
	return nil
}
