// Command autoscaler does with a worker group what the clusterapi provider of cluster-autoscaler does: it finds the group, its
// bounds and its machines by labels and owner references, asks for one more machine through the subresource scale, and then
// gives the machine with the oldest provider id back, by Cluster API's annotation and the subresource.
//
// The provider ids are those of the Machines; cluster-autoscaler takes them from the nodes, which have the same.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	group      = "cluster.x-k8s.io"
	minimum    = group + "/cluster-api-autoscaler-node-group-min-size"
	maximum    = group + "/cluster-api-autoscaler-node-group-max-size"
	deleteMark = group + "/delete-machine"
)

// provider knows worker groups and machines by watches.
type provider struct {
	client      dynamic.Interface
	scales      scale.ScalesGetter
	version     string
	deployments cache.GenericLister
	sets        cache.GenericLister
	machines    cache.GenericLister
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the API with the Machines")
	namespace := flag.String("namespace", "default", "namespace of the worker group")
	name := flag.String("group", "", "name of its MachineDeployment")
	limit := flag.Duration("limit", 5*time.Minute, "how long each step may take")
	flag.Parse()
	if err := run(*kubeconfig, *namespace, *name, *limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, namespace, name string, limit time.Duration) error {
	ctx := context.Background()
	p, err := connect(ctx, kubeconfig)
	if err != nil {
		return err
	}
	fmt.Println("version", p.version)
	g := &nodeGroup{provider: p, namespace: namespace, name: name}
	if err := g.until(limit, "one node", func(ids []string) bool { return len(ids) == 1 && running(ids) }); err != nil {
		return err
	}
	least, most, err := g.bounds()
	if err != nil {
		return err
	}
	fmt.Println("bounds", least, most)
	size, err := g.size(ctx)
	if err != nil {
		return err
	}
	if err := g.setSize(ctx, size+1); err != nil {
		return err
	}
	if err := g.until(limit, "two nodes", func(ids []string) bool { return len(ids) == 2 && running(ids) }); err != nil {
		return err
	}
	if err := g.setSize(ctx, most+1); err == nil {
		return fmt.Errorf("a size above the maximum was taken")
	}
	// The one that has been there longest is what nobody would give back without being asked to.
	victim, err := g.oldest()
	if err != nil {
		return err
	}
	fmt.Println("victim", victim)
	if err := g.deleteNode(ctx, victim); err != nil {
		return err
	}
	left := func(ids []string) bool { return len(ids) == 1 && running(ids) && ids[0] != victim }
	if err := g.until(limit, "one node beside the victim", left); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}

// connect starts the watches and waits until they are complete.
func connect(ctx context.Context, kubeconfig string) (*provider, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, err := found.ServerGroups()
	if err != nil {
		return nil, err
	}
	version := ""
	for _, known := range groups.Groups {
		if known.Name == group {
			version = known.PreferredVersion.Version
		}
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(found)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	resolver := scale.NewDiscoveryScaleKindResolver(found)
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, resolver)
	if err != nil {
		return nil, err
	}
	p := &provider{client: client, scales: scales, version: version}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	p.deployments = factory.ForResource(p.resource("machinedeployments")).Lister()
	p.sets = factory.ForResource(p.resource("machinesets")).Lister()
	p.machines = factory.ForResource(p.resource("machines")).Lister()
	factory.Start(ctx.Done())
	for resource, complete := range factory.WaitForCacheSync(ctx.Done()) {
		if !complete {
			return nil, fmt.Errorf("%s could not be listed", resource)
		}
	}
	return p, nil
}

func (p *provider) resource(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: p.version, Resource: plural}
}

func get(lister cache.GenericLister, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := lister.ByNamespace(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	return object.(*unstructured.Unstructured), nil
}

// nodeGroup is the MachineDeployment of a worker group.
type nodeGroup struct {
	*provider
	namespace, name string
}

func (g *nodeGroup) object() (*unstructured.Unstructured, error) {
	return get(g.deployments, g.namespace, g.name)
}

func (g *nodeGroup) bounds() (int, int, error) {
	object, err := g.object()
	if err != nil {
		return 0, 0, err
	}
	least, err := strconv.Atoi(object.GetAnnotations()[minimum])
	if err != nil {
		return 0, 0, err
	}
	most, err := strconv.Atoi(object.GetAnnotations()[maximum])
	return least, most, err
}

func (g *nodeGroup) size(ctx context.Context) (int, error) {
	resource := schema.GroupResource{Group: group, Resource: "machinedeployments"}
	found, err := g.scales.Scales(g.namespace).Get(ctx, resource, g.name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	return int(found.Spec.Replicas), nil
}

func (g *nodeGroup) setSize(ctx context.Context, size int) error {
	least, most, err := g.bounds()
	if err != nil {
		return err
	}
	if size < least || size > most {
		return fmt.Errorf("%d is outside %d to %d", size, least, most)
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": size}})
	if err != nil {
		return err
	}
	resource := g.resource("machinedeployments")
	options := metav1.PatchOptions{}
	_, err = g.scales.Scales(g.namespace).Patch(ctx, resource, g.name, types.MergePatchType, patch, options)
	if err == nil {
		fmt.Println("size", size)
	}
	return err
}

// members are the Machines of the group, by its selector.
func (g *nodeGroup) members() ([]*unstructured.Unstructured, error) {
	object, err := g.object()
	if err != nil {
		return nil, err
	}
	given, found, err := unstructured.NestedMap(object.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s has no selector", g.name)
	}
	selector := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(given, selector); err != nil {
		return nil, err
	}
	by, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	return list(g.machines, g.namespace, by)
}

func list(lister cache.GenericLister, namespace string, by labels.Selector) ([]*unstructured.Unstructured, error) {
	objects, err := lister.ByNamespace(namespace).List(by)
	if err != nil {
		return nil, err
	}
	found := make([]*unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		found = append(found, object.(*unstructured.Unstructured))
	}
	return found, nil
}

func providerID(machine *unstructured.Unstructured) string {
	id, _, _ := unstructured.NestedString(machine.Object, "spec", "providerID")
	return id
}

// instances are the provider ids of the group; a machine without one, or that is on its way out, has a made-up one.
func (g *nodeGroup) instances() ([]string, error) {
	members, err := g.members()
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(members))
	for _, machine := range members {
		phase, _, _ := unstructured.NestedString(machine.Object, "status", "phase")
		id := providerID(machine)
		switch {
		case phase == "Failed":
			id = "failed-machine-" + machine.GetNamespace() + "_" + machine.GetName()
		case !machine.GetDeletionTimestamp().IsZero():
			id = "deleting-machine-" + machine.GetNamespace() + "_" + machine.GetName()
		case id == "":
			id = "pending-machine-" + machine.GetNamespace() + "_" + machine.GetName()
		}
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids, nil
}

func running(ids []string) bool {
	for _, id := range ids {
		if strings.Contains(id, "-machine-") {
			return false
		}
	}
	return true
}

func (g *nodeGroup) oldest() (string, error) {
	members, err := g.members()
	if err != nil {
		return "", err
	}
	sort.Slice(members, func(i, j int) bool {
		one, other := members[i].GetCreationTimestamp(), members[j].GetCreationTimestamp()
		return one.Before(&other)
	})
	return providerID(members[0]), nil
}

func owner(object *unstructured.Unstructured, kind string) string {
	for _, reference := range object.GetOwnerReferences() {
		if reference.Kind == kind {
			return reference.Name
		}
	}
	return ""
}

// deleteNode finds the machine of a node and the group above it, marks the machine and asks for one less.
func (g *nodeGroup) deleteNode(ctx context.Context, node string) error {
	all, err := list(g.machines, g.namespace, labels.Everything())
	if err != nil {
		return err
	}
	var machine *unstructured.Unstructured
	for _, known := range all {
		if path.Base(providerID(known)) == path.Base(node) {
			machine = known
		}
	}
	if machine == nil {
		return fmt.Errorf("no machine has the provider id %s", node)
	}
	set, err := get(g.sets, g.namespace, owner(machine, "MachineSet"))
	if err != nil {
		return err
	}
	if above := owner(set, "MachineDeployment"); above != g.name {
		return fmt.Errorf("machine %s belongs to group %q", machine.GetName(), above)
	}
	least, _, err := g.bounds()
	if err != nil {
		return err
	}
	size, err := g.size(ctx)
	if err != nil {
		return err
	}
	if size <= least {
		return fmt.Errorf("the group has no more than its least size, %d", least)
	}
	machines := g.client.Resource(g.resource("machines")).Namespace(g.namespace)
	newest, err := machines.Get(ctx, machine.GetName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	annotations := newest.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[deleteMark] = time.Now().String()
	newest.SetAnnotations(annotations)
	if _, err := machines.Update(ctx, newest, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return g.setSize(ctx, size-1)
}

// until waits until the instances of the group are so.
func (g *nodeGroup) until(limit time.Duration, what string, holds func([]string) bool) error {
	end := time.Now().Add(limit)
	for {
		ids, err := g.instances()
		if err == nil && holds(ids) {
			fmt.Println(what, strings.Join(ids, " "))
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not %s within %s: %v %w", what, limit, ids, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
