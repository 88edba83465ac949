// xds_driver: a management server for tests, on go-control-plane.
//
//	xds_driver -listen HOST:PORT -control HOST:PORT
//
// Serves clusters, endpoints, listeners, routes, secrets, scoped routes, virtual
// hosts, filters' configurations and runtime layers on -listen: ADS and a stream
// for each kind, state of the world and delta. On -control, over HTTP:
//
//	POST /v3/discovery:KIND  the REST way of discovery
//	POST /resources[?merge=1|replace=all]  {"clusters": [...], ...}: these kinds
//	    anew; merge adds or replaces by name, replace=all drops other kinds
//	DELETE /resources?type=KIND&name=NAME
//	GET /status       what each node asked for, was sent, acknowledged, refused
//	POST /wait?type=KIND[&timeout=5s]  until the newest version was "acked" or
//	    "nacked"; else "timeout"
//	POST /drop        cuts every stream; the port comes back at once
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	extension "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	testv3 "github.com/envoyproxy/go-control-plane/pkg/test/v3"
	"google.golang.org/grpc"
)

var (
	listen  = flag.String("listen", "", "where to serve xDS")
	control = flag.String("control", "", "where to be told what to serve")
)

func main() {
	flag.Parse()
	served := newResources()
	journal := newJournal()
	xds := server.NewServer(context.Background(), served.cache, journal.callbacks())
	stop := make(chan chan struct{})
	go serveXds(xds, stop)
	log.Fatal(http.ListenAndServe(*control, handlers(xds, served, journal, stop)))
}

// serveXds starts a new gRPC server whenever the old one was told to stop.
func serveXds(xds server.Server, stop chan chan struct{}) {
	for {
		socket, err := net.Listen("tcp", *listen)
		if err != nil {
			log.Fatal(err)
		}
		rpc := grpc.NewServer()
		testv3.RegisterServer(rpc, xds)
		extension.RegisterExtensionConfigDiscoveryServiceServer(rpc, xds)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := rpc.Serve(socket); err != nil {
				log.Fatal(err)
			}
		}()
		done := <-stop
		rpc.Stop()
		<-ended
		close(done)
	}
}

func handlers(xds server.Server, served *resources, journal *journal, stop chan chan struct{}) http.Handler {
	mux := http.NewServeMux()
	gateway := server.HTTPGateway{Server: xds}
	mux.HandleFunc("POST /v3/", func(w http.ResponseWriter, r *http.Request) {
		body, status, err := gateway.ServeHTTP(r)
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		if body == nil {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if _, err := w.Write(body); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"nodes": journal.nodesNow()})
	})
	mux.HandleFunc("POST /resources", func(w http.ResponseWriter, r *http.Request) {
		outcome(w, served.take(r.Body, r.URL.Query().Get("merge") != "", r.URL.Query().Get("replace") == "all"))
	})
	mux.HandleFunc("DELETE /resources", func(w http.ResponseWriter, r *http.Request) {
		outcome(w, served.remove(r.URL.Query().Get("type"), r.URL.Query().Get("name")))
	})
	mux.HandleFunc("POST /wait", func(w http.ResponseWriter, r *http.Request) {
		patience, err := time.ParseDuration(r.URL.Query().Get("timeout"))
		if err != nil {
			patience = 5 * time.Second
		}
		kind := r.URL.Query().Get("type")
		answer(w, http.StatusOK, journal.settled(kind, served.version(kind), patience))
	})
	mux.HandleFunc("POST /drop", func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		stop <- done
		<-done
		answer(w, http.StatusOK, "dropped")
	})
	return mux
}

func outcome(w http.ResponseWriter, err error) {
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, "served")
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}
