{{- define "loki.name" -}}
{{- .Values.nameOverride | default "loki" -}}
{{- end -}}

{{- define "loki.fullname" -}}
{{- $name := include "loki.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- end -}}
