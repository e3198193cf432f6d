// helm renders a chart as Helm's client does without a cluster: one JSON request on standard input, one JSON answer.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

type request struct {
	Chart       string                 `json:"chart"`
	Name        string                 `json:"name"`
	Namespace   string                 `json:"namespace"`
	KubeVersion string                 `json:"kubeVersion"`
	APIVersions []string               `json:"apiVersions"`
	Values      map[string]interface{} `json:"values"`
}

type manifest struct {
	Template string `json:"template"`
	Text     string `json:"text"`
}

type answer struct {
	Error     string                 `json:"error,omitempty"`
	Values    map[string]interface{} `json:"values,omitempty"`
	Files     map[string]string      `json:"files,omitempty"`
	Manifests []manifest             `json:"manifests,omitempty"`
	Hooks     []string               `json:"hooks,omitempty"`
}

func render(wanted request) (answer, error) {
	chart, err := loader.Load(wanted.Chart)
	if err != nil {
		return answer{}, err
	}
	if err := chartutil.ProcessDependenciesWithMerge(chart, wanted.Values); err != nil {
		return answer{}, err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(wanted.KubeVersion)
	if err != nil {
		return answer{}, err
	}
	capabilities.KubeVersion = *version
	capabilities.APIVersions = append(chartutil.VersionSet{}, wanted.APIVersions...)
	release := chartutil.ReleaseOptions{Name: wanted.Name, Namespace: wanted.Namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, wanted.Values, release, capabilities)
	if err != nil {
		return answer{}, err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return answer{}, err
	}
	merged, err := values.Table("Values")
	if err != nil {
		return answer{}, err
	}
	found := answer{Values: merged, Files: map[string]string{}}
	for name, text := range files {
		found.Files[name] = text
		// Helm shows notes to the user and takes them for no manifest.
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return answer{}, err
	}
	for _, each := range manifests {
		found.Manifests = append(found.Manifests, manifest{Template: each.Name, Text: each.Content})
	}
	for _, hook := range hooks {
		found.Hooks = append(found.Hooks, hook.Name)
	}
	return found, nil
}

func main() {
	var wanted request
	if err := json.NewDecoder(os.Stdin).Decode(&wanted); err != nil {
		log.Fatal(err)
	}
	found, err := render(wanted)
	if err != nil {
		found = answer{Error: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}
