#ifndef REMORA_XDS_LB_LABELS_H_
#define REMORA_XDS_LB_LABELS_H_

#include <memory>
#include <vector>

#include "filters/metadata.h"
#include "lb/criteria.h"

namespace remora::xds {

// The namespace of metadata that subsets are about.
inline constexpr char kLbNamespace[] = "envoy.lb";

// Metadata `envoy.lb` in the spelling of lb/criteria.h, sorted by key; nothing without it.
std::vector<lb::Label> LabelsFrom(const Metadata& metadata);
std::vector<lb::Criterion> CriteriaOf(const MetadataValue& fields);

// What a request asks for: `over`'s members replace those of `base`. Null when neither has any.
std::shared_ptr<const lb::Criteria> CriteriaFrom(const Metadata& base, const Metadata& over);

}  // namespace remora::xds

#endif  // REMORA_XDS_LB_LABELS_H_
