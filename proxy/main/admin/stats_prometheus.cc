// Statistics in Prometheus' exposition format 0.0.4.

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/main/admin/histogram_math.h"
#include "proxy/main/admin/stats_selection.h"

namespace remora::proxy {
namespace {

// Name of a family to its lines: a family is written in one piece, whatever blocks it comes from.
using Families = std::map<std::string, std::string>;

std::string Sanitized(absl::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (!absl::ascii_isalnum(c) && c != '_') c = '_';
  }
  if (!out.empty() && absl::ascii_isdigit(out[0])) out.insert(0, "_");
  return out;
}

std::string FamilyOf(const TaggedName& tagged) {
  return absl::StrCat("envoy_", Sanitized(tagged.name));
}

std::string EscapeLabel(absl::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Labels(const TaggedName& tagged) {
  return absl::StrJoin(tagged.tags, ",", [](std::string* out, const auto& tag) {
    absl::StrAppend(out, Sanitized(tag.first), "=\"", EscapeLabel(tag.second), "\"");
  });
}

void Write(const Families& families, absl::string_view type, std::string* out) {
  for (const auto& [name, lines] : families)
    absl::StrAppend(out, "# TYPE ", name, " ", type, "\n", lines);
}

void AppendNumbers(const std::vector<StatsSelection::Number>& numbers, absl::string_view type,
                   const TagExtractor& tags, std::string* out) {
  Families families;
  for (const auto& number : numbers) {
    const TaggedName tagged = tags.Extract(number.name);
    const std::string name = FamilyOf(tagged);
    absl::StrAppend(&families[name], name, "{", Labels(tagged), "} ", number.value, "\n");
  }
  Write(families, type, out);
}

void AppendTexts(const std::vector<StatsSelection::Text>& texts, const TagExtractor& tags,
                 std::string* out) {
  Families families;
  for (const auto& text : texts) {
    TaggedName tagged = tags.Extract(text.name);
    tagged.tags.emplace_back("text_value", text.value);
    const std::string name = FamilyOf(tagged);
    absl::StrAppend(&families[name], name, "{", Labels(tagged), "} 0\n");
  }
  Write(families, "gauge", out);
}

struct Series {
  std::string name;
  std::string labels;
  std::string comma;  // between labels and one more
};

void AppendSumAndCount(const Series& series, double sum, uint64_t count, std::string* lines) {
  absl::StrAppend(lines, series.name, "_sum{", series.labels, "} ", fmt::format("{:.17g}", sum),
                  "\n", series.name, "_count{", series.labels, "} ", count, "\n");
}

void AppendBuckets(const StatsSelection::Distribution& histogram, const Series& series,
                   std::string* lines) {
  const std::vector<uint64_t> counts =
      BoundCounts(histogram.sum, histogram.bounds, /*disjoint=*/false);
  for (size_t i = 0; i < counts.size(); ++i) {
    absl::StrAppend(lines, series.name, "_bucket{", series.labels, series.comma, "le=\"",
                    fmt::format("{:.32g}", histogram.bounds[i]), "\"} ", counts[i], "\n");
  }
  absl::StrAppend(lines, series.name, "_bucket{", series.labels, series.comma, "le=\"+Inf\"} ",
                  histogram.sum.count, "\n");
  AppendSumAndCount(series, histogram.sum.sum, histogram.sum.count, lines);
}

// A summary tells of the last interval.
void AppendSummary(const StatsSelection::Distribution& histogram, const Series& series,
                   std::string* lines) {
  const std::vector<double> values = histogram.interval == nullptr
                                         ? std::vector<double>(std::size(kQuantiles), std::nan(""))
                                         : Quantiles(*histogram.interval);
  for (size_t i = 0; i < values.size(); ++i) {
    absl::StrAppend(lines, series.name, "{", series.labels, series.comma, "quantile=\"",
                    fmt::format("{}", kQuantiles[i]), "\"} ",
                    std::isnan(values[i]) ? "nan" : fmt::format("{:.17g}", values[i]), "\n");
  }
  const bool any = histogram.interval != nullptr;
  AppendSumAndCount(series, any ? histogram.interval->sum : 0, any ? histogram.interval->count : 0,
                    lines);
}

void AppendHistograms(const StatsSelection& selection, bool summary, const TagExtractor& tags,
                      std::string* out) {
  Families families;
  for (const auto& histogram : selection.histograms) {
    const TaggedName tagged = tags.Extract(histogram.name);
    Series series{FamilyOf(tagged), Labels(tagged), ""};
    if (!series.labels.empty()) series.comma = ",";
    std::string& lines = families[series.name];
    summary ? AppendSummary(histogram, series, &lines) : AppendBuckets(histogram, series, &lines);
  }
  Write(families, summary ? "summary" : "histogram", out);
}

}  // namespace

std::string RenderStatsPrometheus(const StatsSelection& selection, const StatsQuery& query,
                                  const TagExtractor& tags) {
  std::string out;
  AppendNumbers(selection.counters, "counter", tags, &out);
  AppendNumbers(selection.gauges, "gauge", tags, &out);
  if (query.text_readouts) AppendTexts(selection.texts, tags, &out);
  AppendHistograms(selection, query.summary(), tags, &out);
  return out;
}

}  // namespace remora::proxy
