{{/* The whole name that a part gives itself: (dict "name" "loki" "ctx" .). As its chart has it, without overrides. */}}
{{- define "penstock-stack.fullnameOf" -}}
{{- $release := .ctx.Release.Name -}}
{{- if contains .name $release -}}
{{- $release | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release .name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Rendered in the scope of the part penstock too, so nothing but the release may be looked at. */}}
{{- define "penstock-stack.lokiGateway" -}}
{{- include "penstock-stack.fullnameOf" (dict "name" "loki" "ctx" .) }}-gateway
{{- end -}}

{{- define "penstock-stack.minio" -}}
{{- default (include "penstock-stack.fullnameOf" (dict "name" "minio" "ctx" .)) .Values.minio.fullnameOverride -}}
{{- end -}}

{{/* host:port */}}
{{- define "penstock-stack.bucketEndpoint" -}}
{{- $host := default (include "penstock-stack.minio" .) .Values.lokiBucket.host -}}
{{- if contains ":" $host -}}{{ $host }}{{- else -}}{{ $host }}:9000{{- end -}}
{{- end -}}

{{- define "penstock-stack.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
