// Command kstatus reads a JSON list of objects from standard input and prints what kstatus, which Flux and kpt decide
// by, makes of each: a JSON list of status and message, in the same order.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message"`
}

func main() {
	if err := judge(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func judge() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var objects []any
	if err := kubejson.Unmarshal(text, &objects); err != nil { // whole numbers as Kubernetes' client has them
		return err
	}
	verdicts := []verdict{}
	for place, object := range objects {
		fields, ok := object.(map[string]any)
		if !ok {
			return fmt.Errorf("entry %d is not an object", place)
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: fields})
		if err != nil {
			return fmt.Errorf("%v: %w", fields["metadata"], err)
		}
		verdicts = append(verdicts, verdict{result.Status, result.Message})
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}
