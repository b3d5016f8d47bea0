// Command kindcheck decodes a kind configuration from standard input with kind's own types, as strictly as kind does,
// and prints it as JSON with kind's defaults. An unknown or ill-typed field ends it with a message and status 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

func main() {
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, "kindcheck:", err)
		os.Exit(1)
	}
}

func check() error {
	var cluster v1alpha4.Cluster
	decoder := yaml.NewDecoder(os.Stdin)
	decoder.KnownFields(true)
	if err := decoder.Decode(&cluster); err != nil {
		return err
	}
	if cluster.APIVersion != "kind.x-k8s.io/v1alpha4" || cluster.Kind != "Cluster" {
		return fmt.Errorf("apiVersion %q, kind %q: want kind.x-k8s.io/v1alpha4, Cluster", cluster.APIVersion, cluster.Kind)
	}
	v1alpha4.SetDefaultsCluster(&cluster)
	return json.NewEncoder(os.Stdout).Encode(cluster)
}
