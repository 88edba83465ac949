#ifndef REMORA_PROXY_STREAM_SIDE_CALLS_H_
#define REMORA_PROXY_STREAM_SIDE_CALLS_H_

#include <memory>

#include "filters/api/side_call.h"

namespace remora::proxy {

class WorkerView;

// The calls of filters (filters/api/side_call.h) on the worker's own pools: with the cluster's
// balancing, TLS, limits and statistics, where they count as internal requests.
std::unique_ptr<SideCall> StartHttpCall(WorkerView& view, const HttpCall& call, HttpCallDone done);
std::unique_ptr<SideCall> StartGrpcSideCall(WorkerView& view, const GrpcCall& call,
                                            GrpcCallDone done);
std::unique_ptr<SideStream> OpenGrpcSideStream(WorkerView& view, const GrpcCall& call,
                                               SideStreamEvents* events);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_SIDE_CALLS_H_
