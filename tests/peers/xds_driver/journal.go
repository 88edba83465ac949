package main

import (
	"context"
	"encoding/json"
	"sort"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	status "google.golang.org/genproto/googleapis/rpc/status"
)

type nack struct {
	Version string `json:"version"`
	Message string `json:"message"`
}

// asked is what one node said about one kind of resource.
type asked struct {
	Delta      bool     `json:"delta"`
	Subscribed []string `json:"subscribed"`
	Requests   int      `json:"requests"`
	Sent       string   `json:"sent"`
	Acked      string   `json:"acked"`
	Nacks      []nack   `json:"nacks"`

	versionOf map[string]string // by nonce
	names     map[string]bool   // delta
}

type node struct {
	Types map[string]*asked `json:"types"`
}

// journal keeps the books of the protocol. Streams of the two spellings have
// numbers of their own; those of delta are negative here.
type journal struct {
	lock    sync.Mutex
	changed *sync.Cond
	nodes   map[string]*node
	streams map[int64]string
}

func newJournal() *journal {
	made := &journal{nodes: map[string]*node{}, streams: map[int64]string{}}
	made.changed = sync.NewCond(&made.lock)
	return made
}

// entry: only the first request of a stream must tell the node.
func (j *journal) entry(stream int64, said *core.Node, url string) *asked {
	if said.GetId() != "" {
		j.streams[stream] = said.GetId()
	}
	id := j.streams[stream]
	if j.nodes[id] == nil {
		j.nodes[id] = &node{Types: map[string]*asked{}}
	}
	kind := nameOfKind(url)
	if j.nodes[id].Types[kind] == nil {
		j.nodes[id].Types[kind] = &asked{versionOf: map[string]string{}, names: map[string]bool{}}
	}
	return j.nodes[id].Types[kind]
}

func (a *asked) answered(nonce string, refused *status.Status) {
	version, known := a.versionOf[nonce]
	a.Requests++
	if !known {
		return
	}
	if refused == nil {
		a.Acked = version
	} else {
		a.Nacks = append(a.Nacks, nack{version, refused.GetMessage()})
	}
}

func (a *asked) sent(nonce, version string) {
	a.Sent = version
	a.versionOf[nonce] = version
}

func (j *journal) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		StreamClosedFunc:      func(id int64, _ *core.Node) { j.closed(id) },
		DeltaStreamClosedFunc: func(id int64, _ *core.Node) { j.closed(-id) },
		StreamRequestFunc: func(id int64, r *discovery.DiscoveryRequest) error {
			j.note(id, r.Node, r.TypeUrl, func(a *asked) {
				a.Subscribed = r.ResourceNames
				a.answered(r.ResponseNonce, r.ErrorDetail)
			})
			return nil
		},
		StreamResponseFunc: func(_ context.Context, id int64, _ *discovery.DiscoveryRequest, w *discovery.DiscoveryResponse) {
			j.note(id, nil, w.TypeUrl, func(a *asked) { a.sent(w.Nonce, w.VersionInfo) })
		},
		StreamDeltaRequestFunc: func(id int64, r *discovery.DeltaDiscoveryRequest) error {
			j.note(-id, r.Node, r.TypeUrl, func(a *asked) {
				a.subscribe(r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe)
				a.answered(r.ResponseNonce, r.ErrorDetail)
			})
			return nil
		},
		StreamDeltaResponseFunc: func(id int64, _ *discovery.DeltaDiscoveryRequest, w *discovery.DeltaDiscoveryResponse) {
			j.note(-id, nil, w.TypeUrl, func(a *asked) { a.sent(w.Nonce, w.SystemVersionInfo) })
		},
	}
}

func (a *asked) subscribe(more, less []string) {
	a.Delta = true
	for _, name := range more {
		a.names[name] = true
	}
	for _, name := range less {
		delete(a.names, name)
	}
	a.Subscribed = nil
	for name := range a.names {
		a.Subscribed = append(a.Subscribed, name)
	}
	sort.Strings(a.Subscribed)
}

func (j *journal) note(stream int64, said *core.Node, url string, what func(*asked)) {
	j.lock.Lock()
	defer j.lock.Unlock()
	what(j.entry(stream, said, url))
	j.changed.Broadcast()
}

func (j *journal) closed(stream int64) {
	j.lock.Lock()
	defer j.lock.Unlock()
	delete(j.streams, stream)
	j.changed.Broadcast()
}

// nodesNow is a copy: the books go on while it is written out.
func (j *journal) nodesNow() json.RawMessage {
	j.lock.Lock()
	defer j.lock.Unlock()
	text, err := json.Marshal(j.nodes)
	if err != nil {
		panic(err)
	}
	return text
}

// settled waits until every node that asks for the kind has answered `version`.
func (j *journal) settled(kind, version string, patience time.Duration) string {
	end := time.Now().Add(patience)
	alarm := time.AfterFunc(patience, j.changed.Broadcast)
	defer alarm.Stop()
	j.lock.Lock()
	defer j.lock.Unlock()
	for {
		if result := j.verdict(kind, version); result != "" {
			return result
		}
		if !time.Now().Before(end) {
			return "timeout"
		}
		j.changed.Wait()
	}
}

func (j *journal) verdict(kind, version string) string {
	acked := false
	for _, node := range j.nodes {
		about := node.Types[kind]
		if about == nil {
			continue
		}
		if count := len(about.Nacks); count > 0 && about.Nacks[count-1].Version == version {
			return "nacked"
		}
		if about.Acked != version {
			return ""
		}
		acked = true
	}
	if acked {
		return "acked"
	}
	return ""
}
