{{- define "ttsfleet.operatorName" -}}
{{ printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Cluster-wide objects carry the namespace, so that two releases can live side by side. */}}
{{- define "ttsfleet.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "ttsfleet.operatorName" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ttsfleet.selectorLabels" -}}
app.kubernetes.io/name: ttsfleet-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ttsfleet.labels" -}}
{{ include "ttsfleet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ttsfleet.image" -}}
{{ .image.repository }}:{{ .image.tag | default .appVersion }}
{{- end }}
