#ifndef REMORA_XDS_DURATIONS_H_
#define REMORA_XDS_DURATIONS_H_

#include <google/protobuf/duration.pb.h>

#include <chrono>

#include "absl/time/time.h"

namespace remora::xds {

inline absl::Duration FromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

inline std::chrono::nanoseconds ChronoFrom(const google::protobuf::Duration& proto) {
  return std::chrono::seconds(proto.seconds()) + std::chrono::nanoseconds(proto.nanos());
}

}  // namespace remora::xds

#endif  // REMORA_XDS_DURATIONS_H_
