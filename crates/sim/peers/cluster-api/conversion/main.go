// Command conversion reads a file with a JSON list of objects of cluster.x-k8s.io/v1beta2 and writes them in v1beta1, by
// Cluster API's own conversion.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cluster-api/api/core/v1beta1"
	"sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

func main() {
	// The version of every provider's kinds.
	v1beta1.SetAPIVersionGetter(func(kind schema.GroupKind) (string, error) {
		return kind.Group + "/v1alpha1", nil
	})
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: conversion FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return err
	}
	var converted []any
	for _, object := range objects {
		older, err := convert(object)
		if err != nil {
			return err
		}
		converted = append(converted, older)
	}
	return json.NewEncoder(os.Stdout).Encode(converted)
}

func convert(object json.RawMessage) (any, error) {
	var header struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(object, &header); err != nil {
		return nil, err
	}
	var newer conversion.Hub
	var older conversion.Convertible
	switch header.Kind {
	case "Cluster":
		newer, older = &v1beta2.Cluster{}, &v1beta1.Cluster{}
	case "Machine":
		newer, older = &v1beta2.Machine{}, &v1beta1.Machine{}
	case "MachineSet":
		newer, older = &v1beta2.MachineSet{}, &v1beta1.MachineSet{}
	case "MachineDeployment":
		newer, older = &v1beta2.MachineDeployment{}, &v1beta1.MachineDeployment{}
	default:
		return nil, fmt.Errorf("unknown kind %q", header.Kind)
	}
	if err := json.Unmarshal(object, newer); err != nil {
		return nil, err
	}
	return older, older.ConvertFrom(newer)
}
