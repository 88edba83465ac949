// The extensions that find a request's client in its headers.
#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "proxy/stream/request_headers.h"

namespace remora::proxy {
namespace {

using Detection = xds::OriginalIpDetection;

bool InRanges(const std::vector<CidrRange>& ranges, const Address& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const CidrRange& range) { return range.Contains(address); });
}

// From the right, the first address that is no proxy of ours; the leftmost when all are.
ForwardedAddress FirstForeign(const std::vector<CidrRange>& ranges, absl::string_view field) {
  ForwardedAddress out;
  const bool single = field.find(',') == absl::string_view::npos;
  while (true) {
    const size_t comma = field.rfind(',');
    const absl::string_view last = absl::StripAsciiWhitespace(
        comma == absl::string_view::npos ? field : field.substr(comma + 1));
    const std::optional<Address> address = Address::FromIp(last, 0);
    if (!address) return {};
    out.address = *address;
    out.found = true;
    if (!InRanges(ranges, *address)) return out;
    if (comma == absl::string_view::npos) break;
    field = field.substr(0, comma);
  }
  out.single = single;
  return out;
}

DetectedClient DetectByXff(const Detection& detection, const Address& peer,
                           const Headers& request) {
  DetectedClient out;
  out.append_xff = !detection.skip_xff_append;
  ForwardedAddress found;
  if (detection.trusted_ranges.empty()) {
    found = AddressFromXff(request, detection.trusted_hops);
  } else if (InRanges(detection.trusted_ranges, peer)) {
    const std::optional<absl::string_view> field = request.GetJoined(HeaderId::kXForwardedFor);
    if (field) found = FirstForeign(detection.trusted_ranges, *field);
  }
  out.found = found.found;
  out.address = found.address;
  out.trusted = found.single;
  return out;
}

DetectedClient DetectByHeader(const Detection& detection, const Headers& request) {
  DetectedClient out;
  const Header* field = request.Find(detection.header);
  const std::optional<Address> address =
      field == nullptr ? std::nullopt : Address::FromIp(field->value, 0);
  if (!address) {
    out.reject_status = detection.reject_status;
    return out;
  }
  out.found = true;
  out.address = *address;
  out.trusted = detection.allow_as_trusted;
  return out;
}

}  // namespace

DetectedClient DetectClient(const xds::HttpConnectionManager& config, const Address& peer,
                            const Headers& request) {
  DetectedClient out;
  for (const Detection& detection : config.original_ip_detection) {
    out = detection.kind == Detection::Kind::kXff ? DetectByXff(detection, peer, request)
                                                  : DetectByHeader(detection, request);
    if (out.found || out.reject_status != 0) break;
  }
  return out;
}

}  // namespace remora::proxy
