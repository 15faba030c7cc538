import type { IDataObject, IHookFunctions, INodeType, INodeTypeDescription, IWebhookFunctions, IWebhookResponseData } from 'n8n-workflow';
/** Whether a message is signed (Standard Webhooks 1.0) with the subscription's secret, and fresh. */
export declare function authentic(headers: IDataObject, body: Buffer, secret: string, now: number): boolean;
/** Starts a workflow when an alert opens, is over, climbs its ladder, or is corrected. */
export declare class WatchtowerTrigger implements INodeType {
    description: INodeTypeDescription;
    webhookMethods: {
        default: {
            checkExists(this: IHookFunctions): Promise<boolean>;
            create(this: IHookFunctions): Promise<boolean>;
            delete(this: IHookFunctions): Promise<boolean>;
        };
    };
    webhook(this: IWebhookFunctions): Promise<IWebhookResponseData>;
}
