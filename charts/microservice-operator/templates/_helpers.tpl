{{- define "operator.chartName" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Not more than 52 characters: suffixes follow. */ -}}
{{- define "operator.name" -}}
{{- $chart := include "operator.chartName" . }}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) }}
{{- default $name .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* What has no namespace: several installations live side by side. */ -}}
{{- define "operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "operator.name" .) }}
{{- end }}

{{- define "operator.account" -}}
{{- $default := ternary (include "operator.name" .) "default" .Values.serviceAccount.create }}
{{- default $default .Values.serviceAccount.name }}
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ include "operator.chartName" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Metadata of an object: list of the root, its name, and more labels and annotations. */ -}}
{{- define "operator.metadata" -}}
{{- $root := index . 0 }}
{{- $extra := dict }}
{{- if gt (len .) 2 }}{{ $extra = index . 2 }}{{ end }}
name: {{ index . 1 | quote }}
{{- if not $extra.clusterScoped }}
namespace: {{ default $root.Release.Namespace $extra.namespace | quote }}
{{- end }}
labels:
  {{- $labels := merge (include "operator.labels" $root | fromYaml) (default dict $extra.labels) $root.Values.commonLabels }}
  {{- toYaml $labels | nindent 2 }}
{{- with merge dict (default dict $extra.annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "operator.image" -}}
{{- $name := .Values.image.repository }}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "operator.account" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}
