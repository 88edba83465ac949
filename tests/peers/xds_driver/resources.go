package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	runtime "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	urls "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// kind is one type of resource: its URL, and how to make an empty one.
type kind struct {
	url  string
	make func() types.Resource
}

var kinds = map[string]kind{
	"clusters":  {urls.ClusterType, func() types.Resource { return new(cluster.Cluster) }},
	"endpoints": {urls.EndpointType, func() types.Resource { return new(endpoint.ClusterLoadAssignment) }},
	"listeners": {urls.ListenerType, func() types.Resource { return new(listener.Listener) }},
	"routes":    {urls.RouteType, func() types.Resource { return new(route.RouteConfiguration) }},
	"secrets":   {urls.SecretType, func() types.Resource { return new(tls.Secret) }},

	"scoped_routes":     {urls.ScopedRouteType, func() types.Resource { return new(route.ScopedRouteConfiguration) }},
	"virtual_hosts":     {urls.VirtualHostType, func() types.Resource { return new(route.VirtualHost) }},
	"extension_configs": {urls.ExtensionConfigType, func() types.Resource { return new(core.TypedExtensionConfig) }},
	"runtimes":          {urls.RuntimeType, func() types.Resource { return new(runtime.Runtime) }},
}

func nameOfKind(url string) string {
	for name, kind := range kinds {
		if kind.url == url {
			return name
		}
	}
	return url
}

type byName map[string]types.Resource

// resources is what is served, the same to every node. A kind's version is a
// hash of its content, so that it changes only with that.
type resources struct {
	lock     sync.Mutex
	now      map[string]byName
	versions map[string]string
	cache    cache.SnapshotCache
}

type oneForAll struct{}

func (oneForAll) ID(*core.Node) string { return "all" }

func newResources() *resources {
	made := &resources{now: map[string]byName{}, versions: map[string]string{}}
	made.cache = cache.NewSnapshotCache(false, oneForAll{}, nil)
	if err := made.publish(); err != nil {
		panic(err)
	}
	return made
}

func (r *resources) take(body io.Reader, merge, replaceAll bool) error {
	var given map[string][]json.RawMessage
	if err := json.NewDecoder(body).Decode(&given); err != nil {
		return err
	}
	parsed := map[string]byName{}
	for name, list := range given {
		kind, known := kinds[name]
		if !known {
			return fmt.Errorf("%s: no such kind", name)
		}
		parsed[name] = byName{}
		for i, text := range list {
			resource := kind.make()
			if err := protojson.Unmarshal(text, resource); err != nil {
				return fmt.Errorf("%s[%d]: %w", name, i, err)
			}
			parsed[name][cache.GetResourceName(resource)] = resource
		}
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if replaceAll {
		r.now = map[string]byName{}
	}
	for name, list := range parsed {
		if !merge || r.now[name] == nil {
			r.now[name] = byName{}
		}
		for resource, content := range list {
			r.now[name][resource] = content
		}
	}
	return r.publish()
}

func (r *resources) remove(kind, name string) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if _, there := r.now[kind][name]; !there {
		return fmt.Errorf("no %s named %s", kind, name)
	}
	delete(r.now[kind], name)
	return r.publish()
}

func (r *resources) version(kind string) string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.versions[kind]
}

func (r *resources) publish() error {
	snapshot := &cache.Snapshot{}
	for name, kind := range kinds {
		var list []types.Resource
		var names []string
		for resource := range r.now[name] {
			names = append(names, resource)
		}
		sort.Strings(names)
		hash := sha256.New()
		for _, resource := range names {
			list = append(list, r.now[name][resource])
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.now[name][resource])
			if err != nil {
				return err
			}
			fmt.Fprintf(hash, "%d:", len(encoded))
			hash.Write(encoded)
		}
		r.versions[name] = fmt.Sprintf("%x", hash.Sum(nil)[:6])
		snapshot.Resources[cache.GetResponseType(kind.url)] = cache.NewResources(r.versions[name], list)
	}
	return r.cache.SetSnapshot(context.Background(), "all", snapshot)
}
