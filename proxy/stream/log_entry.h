#ifndef REMORA_PROXY_STREAM_LOG_ENTRY_H_
#define REMORA_PROXY_STREAM_LOG_ENTRY_H_

#include "filters/api/stream_info.h"
#include "proxy/stream/access_log.h"

namespace envoy::data::accesslog::v3 {
class HTTPAccessLogEntry;
class TCPAccessLogEntry;
}  // namespace envoy::data::accesslog::v3

namespace remora::proxy {

struct GrpcLogTarget;

// An exchange (a TCP session) as an entry for a logging service.
void FillHttpEntry(const GrpcLogTarget& target, const StreamInfo& info, LogMoment moment,
                   envoy::data::accesslog::v3::HTTPAccessLogEntry* out);
void FillTcpEntry(const GrpcLogTarget& target, const StreamInfo& info, LogMoment moment,
                  envoy::data::accesslog::v3::TCPAccessLogEntry* out);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_LOG_ENTRY_H_
